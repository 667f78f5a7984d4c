"""A trained model: its checkpoint, with the configuration of its training."""

import dataclasses
import sys
from typing import Unpack

from trax_hourglass import pretrained_models
from trax_hourglass.configuration import bindings, explain, reading
from trax_hourglass.configuration.overrides import Overrides
from trax_hourglass.errors import UserError
from trax_hourglass.training.checkpoints import configs, find


class Configuration(reading.Configuration, total=False):
  """Keyword arguments that configure a command which runs a trained model.

  Attributes:
    pretrained: In place of a checkpoint, the name of a model that ships with
      this package, or a folder that `export` wrote.
  """

  pretrained: str | None


@dataclasses.dataclass(frozen=True)
class Trained:
  """A trained model's checkpoint and configuration.

  Attributes:
    checkpoint: The checkpoint's path.
    config_files: The gin files that configure the model.
    overrides: The bindings of `config`.
    takes_images: Whether it was trained on images, rather than text.
  """

  checkpoint: str
  config_files: tuple[str, ...]
  overrides: Overrides
  takes_images: bool

  def report(self) -> None:
    """Prints the paths, and warns of bindings without effect, on stderr."""
    self.overrides.warn()
    files = ', '.join(self.config_files) or '--config alone'
    print(f'checkpoint     {self.checkpoint}', file=sys.stderr)
    print(f'configuration  {files}', file=sys.stderr)


def configure(
  checkpoint: str | None = None,
  *,
  pretrained: str | None = None,
  **configuration: Unpack[reading.Configuration],
) -> Trained:
  """Finds a checkpoint and binds its configuration.

  Args:
    checkpoint: A *.pkl.gz file, or a directory: its newest; or an address.
    pretrained: As in `Configuration`.
    **configuration: As in `reading.Configuration`. Without `config_file`, the
      checkpoint's own is used.

  Raises:
    UserError: If there is no checkpoint, gin cannot make sense of the files, or
      they configure another model than the exported one.
  """
  if (checkpoint is None) == (pretrained is None):
    raise UserError(
      f'checkpoint: got {checkpoint!r}, pretrained {pretrained!r}, expected '
      'one of the two'
    )
  path = find.find_checkpoint(checkpoint or pretrained_models.find(pretrained))
  given = configuration.get('config_file') or configs.find(path) or ()
  config_files = (given,) if isinstance(given, str) else tuple(given)
  if not config_files and not any(map(configuration.get, ('config', 'model'))):
    raise UserError(
      f'{path}: no configuration is beside it; give the one that it was '
      'trained with, as --config_file=PATH'
    )
  overrides = reading.configure(
    **{**configuration, 'config_file': config_files}
  )
  with explain.config_errors():
    bindings.check_model(path)
  return Trained(path, config_files, overrides, bindings.trains_on_images())
