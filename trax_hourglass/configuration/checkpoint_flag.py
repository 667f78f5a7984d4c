"""The flag --checkpoint, which commands have that read a trained model."""

import os

from absl import flags

from trax_hourglass import addresses
from trax_hourglass.configuration import command_line
from trax_hourglass.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string(
  'checkpoint',
  None,
  'A *.pkl.gz file, a directory, whose newest checkpoint is read, or a file '
  'that export wrote; or the address of one. By default --output_dir.',
)


def checkpoint() -> str | None:
  """Returns the file or directory that the flags name, `None` for a pretrained.

  Raises:
    UserError: If they name none, or two, or it does not exist.
  """
  command_line.check_pretrained('checkpoint', 'init_checkpoint')
  if FLAGS.pretrained is not None:
    return None
  path = FLAGS.checkpoint or FLAGS.init_checkpoint or FLAGS.output_dir
  if not path:
    raise UserError(
      'checkpoint: not given; use --checkpoint, --output_dir or --pretrained'
    )
  is_missing = not os.path.exists(os.path.expanduser(path))
  if is_missing and not addresses.is_address(path):
    raise UserError(
      f'checkpoint: {path} does not exist; give a *.pkl.gz file or the '
      'directory that holds it'
    )
  return path
