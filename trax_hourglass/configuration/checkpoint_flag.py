"""The flag --checkpoint, which commands have that read a trained model."""

from absl import flags

from trax_hourglass.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string(
  'checkpoint',
  None,
  'A *.pkl.gz file, or a directory: its newest. By default --output_dir.',
)


def checkpoint() -> str:
  """Returns the file or directory that the flags name.

  Raises:
    UserError: If they name none, or two.
  """
  if FLAGS.checkpoint and FLAGS.init_checkpoint:
    raise UserError(
      '--checkpoint and --init_checkpoint are both given, expected one'
    )
  path = FLAGS.checkpoint or FLAGS.init_checkpoint or FLAGS.output_dir
  if not path:
    raise UserError('checkpoint: not given; use --checkpoint or --output_dir')
  return path
