"""Where gin files are, known before gin is imported."""

import os
import pathlib

from trax_hourglass import addresses
from trax_hourglass.errors import UserError

# An installed package contains the gin files, a clone has them beside it.
_PACKAGE = pathlib.Path(__file__).parents[1]
GIN_DIRECTORY = next(
  filter(pathlib.Path.is_dir, (_PACKAGE / 'gin', _PACKAGE.parent / 'gin'))
)
ADVICE = (
  'give --config_file a path, or the name of a file in gin/, such as '
  'quickstart.gin'
)


def check_exists(name: str) -> None:
  """Raises `UserError` unless there is such a file, as given or in gin/."""
  path = os.path.expanduser(name)
  if not addresses.is_address(name) and not any(
    map(os.path.isfile, (path, GIN_DIRECTORY / path))
  ):
    raise UserError(f'gin: Unable to open file: {name}; {ADVICE}')
