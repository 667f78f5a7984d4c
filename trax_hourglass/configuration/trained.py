"""The trained model that a command reads: flag --checkpoint, `config.gin`."""

import dataclasses
import sys

from absl import flags

from trax_hourglass.configuration import reading
from trax_hourglass.configuration.overrides import Overrides
from trax_hourglass.errors import UserError
from trax_hourglass.training.checkpoints import configs, find

FLAGS = flags.FLAGS
flags.DEFINE_string(
  'checkpoint',
  None,
  'A *.pkl.gz file, or a directory: its newest. By default --output_dir.',
)


@dataclasses.dataclass(frozen=True)
class Trained:
  """A trained model's checkpoint and configuration.

  Attributes:
    checkpoint: The checkpoint's path.
    config_files: The gin files that configure the model.
    overrides: The bindings of --config.
  """

  checkpoint: str
  config_files: tuple[str, ...]
  overrides: Overrides

  def report(self) -> None:
    """Prints the paths, and warns of bindings without effect, on stderr."""
    self.overrides.warn()
    files = ', '.join(self.config_files) or '--config alone'
    for name, text in {
      'checkpoint': self.checkpoint,
      'configuration': files,
    }.items():
      print(f'{name:15}{text}', file=sys.stderr)


def configure() -> Trained:
  """Finds a checkpoint and reads its configuration.

  If no --config_file is given, that is the configuration that the checkpoint
  was trained with.

  Raises:
    UserError: If there is no checkpoint, or gin cannot make sense of the files.
  """
  path = find.find_checkpoint(_checkpoint())
  if not FLAGS.config_file and (config := configs.find(path)):
    FLAGS.config_file = [config]
  config_files = tuple(FLAGS.config_file or ())
  return Trained(path, config_files, reading.configure())


def _checkpoint() -> str:
  if FLAGS.checkpoint and FLAGS.init_checkpoint:
    raise UserError(
      '--checkpoint and --init_checkpoint are both given, expected one'
    )
  path = FLAGS.checkpoint or FLAGS.init_checkpoint or FLAGS.output_dir
  if not path:
    raise UserError('checkpoint: not given; use --checkpoint or --output_dir')
  return path
