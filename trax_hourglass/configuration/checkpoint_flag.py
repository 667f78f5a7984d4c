"""The flag --checkpoint, which commands have that read a trained model."""

import os

from absl import flags

from trax_hourglass import addresses
from trax_hourglass.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string(
  'checkpoint',
  None,
  'A *.pkl.gz file, or a directory: its newest; or the address of one. By '
  'default --output_dir.',
)


def checkpoint() -> str:
  """Returns the file or directory that the flags name.

  Raises:
    UserError: If they name none, or two, or it does not exist.
  """
  if FLAGS.checkpoint and FLAGS.init_checkpoint:
    raise UserError(
      '--checkpoint and --init_checkpoint are both given, expected one'
    )
  path = FLAGS.checkpoint or FLAGS.init_checkpoint or FLAGS.output_dir
  if not path:
    raise UserError('checkpoint: not given; use --checkpoint or --output_dir')
  is_missing = not os.path.exists(os.path.expanduser(path))
  if is_missing and not addresses.is_address(path):
    raise UserError(
      f'checkpoint: {path} does not exist; give a *.pkl.gz file or the '
      'directory that holds it'
    )
  return path
