"""The checkpoints in an output directory that lead to a loop's weights.

Step numbers do not identify them: a loop may go back to an older checkpoint, or
resume from one elsewhere, and reach the same steps again.
"""

import glob
import hashlib
import os
import re

from trax_hourglass.errors import UserError, warn
from trax_hourglass.training.checkpoints import find, folders, format


class Lineage:
  """The checkpoints that a loop has loaded or written, and their predecessors.

  Attributes:
    newest: The identity of the checkpoint loaded or written last, if any.
  """

  def __init__(self, directory: str | None):
    """Initialises the lineage in an output directory, empty."""
    self._directory = directory
    self._own = set()
    self.newest = None

  def start(self, path: str, step: int) -> None:
    """Starts over from a loaded checkpoint, a `*.pkl.gz` file.

    If it is in the output directory, or a copy of one there, the checkpoints of
    earlier steps there belong to the same lineage; otherwise none of them do.
    """
    path = os.path.realpath(path)
    folder = os.path.dirname(path)
    is_step = os.path.exists(os.path.join(folder, folders.MANIFEST))
    self.newest, self._own = _identity(folder if is_step else path), set()
    if self._directory is None:
      return
    identities = self._identities()
    # Trax's files do not say which checkpoints they continue.
    is_in_directory = folder == os.path.realpath(self._directory)
    if is_in_directory or self.newest in identities.values():
      self._own = {name for one, name in identities.items() if one.step <= step}

  def add(self, path: str) -> None:
    """Adds the checkpoint that the loop has just written to a folder."""
    self.newest = _identity(path)
    self._own.add(self.newest)

  def include(self, path: str) -> None:
    """Adds a checkpoint file that the loop has written in Trax's format."""
    self._own.add(_identity(path))

  def stored(self) -> list[folders.Stored]:
    """Returns the loop's checkpoints in step folders, the newest first."""
    return [one for one, name in self._step_folders() if name in self._own]

  def newest_folder(self) -> str | None:
    """Returns the folder of `newest`, if it is in the output directory."""
    found = (x.path for x, name in self._step_folders() if name == self.newest)
    return next(found, None)

  def others(self) -> list[folders.Stored]:
    """Returns checkpoints of other trajectories in the output directory.

    They are ordered by step. Those that Trax wrote are files, not folders.
    """
    identities = self._identities()
    others = [one for one, name in identities.items() if name not in self._own]
    return sorted(others, key=lambda one: one.step)

  def set_aside_others(self, step: int) -> None:
    """Sets aside checkpoints of other trajectories, with a warning.

    The newest of them is moved last: if the process is killed before that, the
    next run resumes from that checkpoint, as if this run at `step` had not
    begun.

    Raises:
      OSError: If a checkpoint cannot be moved.
    """
    others = self.others()
    if not others:
      return
    paths = [path for one in others for path in _files(one.path)]
    configs = _configs_after(self._directory, step)
    moved = folders.abandon(self._directory, [*configs, *paths])
    steps = ', '.join(f'{one.step:,}' for one in others)
    warn(
      f'going on from step {step:,}: checkpoints of another trajectory, of '
      f'step {steps}, are set aside in {moved}; remove that folder if you do '
      'not need them'
    )

  def _identities(self):
    """Returns the identity of each checkpoint in the output directory."""
    identities = dict(self._step_folders())
    if path := find.written_by_trax(self._directory):
      try:
        step = format.read_step(path)
      except UserError:  # The search for the newest checkpoint skips it, too.
        return identities
      identities[folders.Stored(step, path)] = _identity(path)
    return identities

  def _step_folders(self):
    for one in folders.stored(self._directory):
      try:
        yield one, _identity(one.path)
      except folders.DamagedError:
        continue  # Set aside by the next search for the newest checkpoint.


def _identity(path):
  """Returns a hash that identifies a checkpoint's folder or file."""
  if os.path.isdir(path):
    return folders.identity(folders.read_manifest(path))
  with open(path, 'rb') as file:
    return hashlib.sha256(file.read()).hexdigest()


def _files(path):
  """Returns the paths of a checkpoint, the one by which it is found first."""
  if os.path.isdir(path):
    return [path]
  stem = glob.escape(path.removesuffix(format.SUFFIX))
  arrays = glob.glob(f'{stem}.*.npy.gz')
  return [path, *(x for x in arrays if not os.path.islink(x))]


def _configs_after(directory, step):
  """Returns the configurations of runs resumed at later steps."""
  paths = glob.glob(os.path.join(glob.escape(directory), 'config_*.gin'))
  matches = [(p, re.search(r'config_(\d+)\.gin$', p)) for p in paths]
  return [path for path, m in matches if m and int(m[1]) > step]
