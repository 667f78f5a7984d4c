"""Which checkpoints in an output directory a loop's weights come from.

A step's number does not tell: a loop may go back to an older checkpoint, or on
from one elsewhere, and train to the same steps again.
"""

import glob
import hashlib
import os
import re

import tensorflow as tf

from trax_hourglass.errors import UserError, warn
from trax_hourglass.training import checkpoints, storage


class Lineage:
  """A loop's checkpoints: those that it loaded or wrote, and those before.

  Attributes:
    newest: The identity of the checkpoint that was loaded or written last;
      `None` before.
  """

  def __init__(self, directory: str | None):
    """Takes the output directory, if there is one."""
    self._directory = directory
    self._own = set()
    self.newest = None

  def start(self, path: str, step: int) -> None:
    """Begins anew with a checkpoint that was loaded, a `*.pkl.gz` file.

    Of the output directory those of steps before belong to it. Of one elsewhere
    none do, unless it is a copy.
    """
    if os.path.exists(path):  # Else it is no file of this machine's.
      path = os.path.realpath(path)
    folder = os.path.dirname(path)
    is_step = os.path.exists(os.path.join(folder, storage.MANIFEST))
    self.newest, self._own = _identity(folder if is_step else path), set()
    if self._directory is None:
      return
    there = self._there()
    # Trax's files do not say what they come from.
    is_in_directory = folder == os.path.realpath(self._directory)
    if is_in_directory or self.newest in there.values():
      self._own = {name for one, name in there.items() if one.step <= step}

  def add(self, path: str) -> None:
    """Goes on with the checkpoint that was written into a folder."""
    self.newest = _identity(path)
    self._own.add(self.newest)

  def include(self, path: str) -> None:
    """Counts a file of Trax's among the loop's, which has written it."""
    self._own.add(_identity(path))

  def stored(self) -> list[storage.Stored]:
    """Returns the loop's checkpoints in step folders, the newest first."""
    return [one for one, name in self._step_folders() if name in self._own]

  def newest_folder(self) -> str | None:
    """Returns the folder of `newest`, if it is in the output directory."""
    found = (x.path for x, name in self._step_folders() if name == self.newest)
    return next(found, None)

  def others(self) -> list[storage.Stored]:
    """Returns checkpoints in the directory that are not the loop's.

    They are those of another trajectory, in the order of their steps; Trax's
    are files, not folders.
    """
    there = self._there()
    others = [one for one, name in there.items() if name not in self._own]
    return sorted(others, key=lambda one: one.step)

  def set_aside_others(self, step: int) -> None:
    """Sets aside, and names, checkpoints in the directory that are not its own.

    The newest of them is the last to go: if the process ends before, the next
    run goes on from that, as if this one had not begun.

    Args:
      step: That at which the loop is.

    Raises:
      OSError: If one cannot be moved.
    """
    others = self.others()
    if not others:
      return
    paths = [path for one in others for path in _files(one.path)]
    configs = _configs_after(self._directory, step)
    moved = storage.abandon(self._directory, [*configs, *paths])
    steps = ', '.join(f'{one.step:,}' for one in others)
    warn(
      f'going on from step {step:,}: checkpoints that do not lead to it, of '
      f'step {steps}, are set aside in {moved}; remove that folder if you do '
      'not need them'
    )

  def _there(self):
    """Returns the identity of each checkpoint that could be the newest."""
    there = dict(self._step_folders())
    if path := checkpoints.written_by_trax(self._directory):
      try:
        step = checkpoints.read_step(path)
      except UserError:  # Passed over where checkpoints are looked for, too.
        return there
      there[storage.Stored(step, path)] = _identity(path)
    return there

  def _step_folders(self):
    for one in storage.stored(self._directory):
      try:
        yield one, _identity(one.path)
      except storage.DamagedError:
        continue  # Set aside when it is next looked for.


def _identity(path):
  """Returns what tells a checkpoint's folder or file from others."""
  if os.path.isdir(path):
    return storage.identity(storage.read_manifest(path))
  with tf.io.gfile.GFile(path, 'rb') as file:
    return hashlib.sha256(file.read()).hexdigest()


def _files(path):
  """Returns what a checkpoint consists of, the decisive file first."""
  if os.path.isdir(path):
    return [path]
  stem = glob.escape(path.removesuffix(checkpoints.SUFFIX))
  arrays = glob.glob(f'{stem}.*.npy.gz')
  return [path, *(x for x in arrays if not os.path.islink(x))]


def _configs_after(directory, step):
  """Returns the configurations that runs from later steps went on with."""
  paths = glob.glob(os.path.join(glob.escape(directory), 'config_*.gin'))
  matches = [(p, re.search(r'config_(\d+)\.gin$', p)) for p in paths]
  return [path for path, m in matches if m and int(m[1]) > step]
