"""The trained model that a command reads: flag --checkpoint, `config.gin`."""

from absl import flags

from trax_hourglass import command
from trax_hourglass.errors import UserError
from trax_hourglass.training import checkpoints

FLAGS = flags.FLAGS
flags.DEFINE_string(
  'checkpoint',
  None,
  'A *.pkl.gz file, or a directory: its newest. By default --output_dir.',
)


def configure() -> str:
  """Reads the configuration and returns the checkpoint's path.

  Where no --config_file is given, it is the `config.gin` beside the checkpoint.

  Raises:
    UserError: If there is no checkpoint, or gin cannot make sense of the files.
  """
  path = checkpoints.find_checkpoint(_checkpoint())
  config = checkpoints.find_config(path)
  if not FLAGS.config_file and config:
    FLAGS.config_file = [config]
  command.configure()
  return path


def _checkpoint() -> str:
  if FLAGS.checkpoint and FLAGS.init_checkpoint:
    raise UserError(
      '--checkpoint and --init_checkpoint are both given, expected one'
    )
  path = FLAGS.checkpoint or FLAGS.init_checkpoint or FLAGS.output_dir
  if not path:
    raise UserError('checkpoint: not given; use --checkpoint or --output_dir')
  return path
