"""Checkpoints set aside, so that none is taken for the newest.

They are damaged, or belong to a trajectory that was abandoned for an older
checkpoint. Only the user ever removes them.
"""

import itertools
import os

_DAMAGED = 'unused_'
_ABANDONED = 'abandoned_'


def set_aside(path: str) -> str:
  """Renames a checkpoint that cannot be used; returns its new path."""
  folder, name = os.path.split(path)
  stem = os.path.join(folder, _DAMAGED + name)
  moved = _first_unused(itertools.chain([stem], _numbered(stem, 2)))
  os.rename(path, moved)
  return moved


def abandoned_folder(folder: str) -> str:
  """Makes a folder, in that of all checkpoints, for an abandoned trajectory."""
  path = _first_unused(_numbered(os.path.join(folder, _ABANDONED[:-1]), 1))
  os.makedirs(path)
  return path


def is_aside(name: str) -> bool:
  """Returns whether a folder's name is one given to those set aside."""
  return name.startswith((_DAMAGED, _ABANDONED))


def paths_aside(folder: str) -> list[str]:
  """Returns the paths set aside in the folder of checkpoints."""
  names = sorted(os.listdir(folder)) if os.path.isdir(folder) else ()
  return [os.path.join(folder, name) for name in filter(is_aside, names)]


def _numbered(stem, first):
  return (f'{stem}_{i}' for i in itertools.count(first))


def _first_unused(paths):
  return next(path for path in paths if not os.path.lexists(path))
