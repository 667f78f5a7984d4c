"""Checkpoints that are set aside: moved, so that none is found as the newest.

They are damaged, or belong to a trajectory that was left for an older
checkpoint. Nothing here is ever removed but by the user.
"""

from collections.abc import Iterable
import itertools
import os
import shutil

_DAMAGED = 'unused_'
_ABANDONED = 'abandoned_'


def set_aside(path: str) -> str:
  """Renames a checkpoint that cannot be used; returns its new path."""
  folder, name = os.path.split(path)
  stem = os.path.join(folder, _DAMAGED + name)
  moved = _first_unused(itertools.chain([stem], _numbered(stem, 2)))
  os.rename(path, moved)
  return moved


def abandon(folder: str, paths: Iterable[str]) -> str:
  """Moves checkpoints of a trajectory that was left into a folder of theirs.

  Args:
    folder: Where that is made: the folder of all checkpoints.
    paths: What to move there, in this order.

  Returns:
    The path of the new folder.

  Raises:
    OSError: If something cannot be moved. What comes after it stays.
  """
  aside = _first_unused(_numbered(os.path.join(folder, _ABANDONED[:-1]), 1))
  os.makedirs(aside)
  for path in paths:
    # Not renamed: the folder may be a link to another disk.
    shutil.move(path, os.path.join(aside, os.path.basename(path)))
  return aside


def is_aside(name: str) -> bool:
  """Whether a folder of that name was set aside."""
  return name.startswith((_DAMAGED, _ABANDONED))


def found(folder: str) -> list[str]:
  """Returns the paths of what was set aside in the folder of checkpoints."""
  names = sorted(os.listdir(folder)) if os.path.isdir(folder) else ()
  return [os.path.join(folder, name) for name in filter(is_aside, names)]


def _numbered(stem, first):
  return (f'{stem}_{i}' for i in itertools.count(first))


def _first_unused(paths):
  return next(path for path in paths if not os.path.lexists(path))
