"""Trained models in folders; those in this one ship with the package.

A folder holds what `python -m trax_hourglass.export --folder` writes: a
`model.safetensors` and its `config.gin`. Each of those that ship has a
`README.md` beside these, whose title describes it. All is known before JAX is
imported.
"""

import os
import pathlib

from trax_hourglass import addresses
from trax_hourglass.errors import UserError

FOLDER = pathlib.Path(__file__).parent
SUFFIX = '.safetensors'
WEIGHTS = f'model{SUFFIX}'
CONFIG = 'config.gin'
_SCHEME = 'pretrained://'


def names() -> list[str]:
  """Returns the names of the models that ship with the package."""
  return sorted(path.parent.name for path in FOLDER.glob(f'*/{WEIGHTS}'))


def find(name: str | os.PathLike) -> str:
  """Returns the path of a model's weights, as commands and gin files take it.

  That of a model that ships is `pretrained://NAME`, the same on all machines.

  Args:
    name: The name of a model that ships, or a folder of the user's, which may
      be at an address.

  Raises:
    UserError: If there is no such model.
  """
  name = os.fspath(name)
  if name in names():
    return _SCHEME + name
  if addresses.is_address(name):
    return addresses.join(name, WEIGHTS)
  folder = os.path.abspath(os.path.expanduser(name))
  for file in (WEIGHTS, CONFIG):
    if not os.path.isfile(os.path.join(folder, file)):
      has_no = f', a folder without {file}' if os.path.isdir(folder) else ''
      raise _unknown(name, has_no)
  return os.path.join(folder, WEIGHTS)


def local(path: str | os.PathLike) -> str:
  """Returns a path, with that of a file in place of `pretrained://NAME`.

  Raises:
    UserError: If no model of that name ships.
  """
  path = os.fspath(path)
  name = path.removeprefix(_SCHEME)
  if name == path:
    return path
  if name not in names():
    raise _unknown(name)
  return str(FOLDER / name / WEIGHTS)


def _unknown(name, remark=''):
  shipped = '; '.join(map(_description, names()))
  return UserError(
    f'pretrained: got {name!r}{remark}, expected a folder that `export '
    f'--folder` wrote, or the name of one of these: {shipped}'
  )


def _description(name):
  """Returns the title of a model's README, its name first."""
  with open(FOLDER / name / 'README.md', encoding='utf-8') as file:
    return file.readline().lstrip('#').strip()
