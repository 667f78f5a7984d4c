"""Checkpoints written while training goes on."""

import contextlib
import os
import shutil
import threading

from trax_hourglass.errors import UserError, warn
from trax_hourglass.training.checkpoints import (
  find,
  folders,
  format,
  lineage,
)

# The link to the newest checkpoint, through which other links go.
_LATEST = 'latest'


class Saver:
  """Writes checkpoints into an output directory, one at a time, in a thread.

  If one cannot be written, say because the disk is full, training goes on with
  a warning, and earlier ones stay as they are.

  Attributes:
    step: That of the newest checkpoint on disk; `None` if there is none.
    path: Its folder.
    error: Why the last checkpoint could not be written; `None` if it could.
  """

  def __init__(
    self,
    directory: str,
    own: lineage.Lineage,
    keep_last: int,
    lowest: str | None = None,
    highest: str | None = None,
  ):
    """Writes checkpoints that continue `own`; the rest is as in `prune`."""
    self._directory = directory
    self._lineage = own
    self._retention = keep_last, lowest, highest
    self._thread = None
    self._has_links = True
    self.step = self.path = self.error = None

  def start(self) -> None:
    """Takes the newest checkpoint on disk for the last one."""
    newest = next(iter(self._lineage.stored()), None)
    self.step, self.path = newest and newest.step, newest and newest.path
    self.error, self._has_links = None, True

  def save(self, step: int, files: dict, **facts) -> None:
    """Starts to write the files of `state.snapshot`, after earlier ones."""
    self.wait()
    arguments = step, files, facts
    self._thread = threading.Thread(target=self._write, args=arguments)
    self._thread.start()

  def record(self, metrics: dict[str, float]) -> None:
    """Records metrics in the newest checkpoint, which has the current state.

    The evaluation may have come after the checkpoint was written.
    """
    self.wait()
    path = self._lineage.newest_folder()
    if path is None or self.error or not metrics:
      return
    try:
      if folders.read_manifest(path)['metrics'] != metrics:
        folders.record_metrics(path, metrics)
    except (folders.DamagedError, OSError) as error:
      warn(f'{path}: cannot record its metrics ({error})')

  def link(self) -> None:
    """Points the links in the output directory to the newest checkpoint.

    A checkpoint that Trax wrote there stays until there is a newer one.
    """
    if self.path is not None and not find.written_by_trax(self._directory):
      self._link()

  def wait(self) -> None:
    """Waits for the write under way; raises an error that is a bug."""
    if self._thread is not None:
      self._thread.join()
      self._thread = None
      if self.error and not isinstance(self.error, OSError):
        raise self.error

  def finish(self) -> None:
    """Waits, and raises a `UserError` if the last checkpoint is not on disk."""
    self.wait()
    if self.error:
      last = f'the last one is of step {self.step}' if self.path else 'none was'
      raise UserError(
        f'checkpoint: cannot be written to {self._directory} '
        f'({self.error.strerror}); {last}: make room, and the same command '
        'goes on from there'
      ) from self.error

  def _write(self, step, files, facts):
    writers = {name: format.writer(content) for name, content in files.items()}
    try:
      self.error = None
      self.path = folders.write(self._directory, step, writers, **facts)
      self.step = step
      self._lineage.add(self.path)
      self._tidy(step)
    except OSError as error:
      self.error = error
      warn(
        f'checkpoint of step {step} cannot be written ({error.strerror}); '
        f'the last is of step {self.step}, training goes on'
      )
    except BaseException as error:  # Raised where it is waited for.
      self.error = error

  def _tidy(self, step):
    """Sets aside or removes checkpoints that the one just written replaces."""
    try:
      self._lineage.set_aside_others(step)
      self._link()
      folders.prune(self._directory, *self._retention, written=self.path)
    except OSError as error:
      warn(
        f'the checkpoint of step {step} is written, but older ones cannot be '
        f'removed ({error.filename}: {error.strerror})'
      )

  def _link(self):
    try:
      if self._has_links:
        link_latest(self._directory, self.path)
    except OSError as error:
      self._has_links = False
      warn(
        f'{self._directory}: no symbolic links there ({error.strerror}), so '
        f'Trax finds checkpoints in {folders.FOLDER} alone'
      )


def link_latest(directory: str, path: str) -> None:
  """Makes the output directory look like one of Trax's.

  There, `model.pkl.gz` and the files beside it are links through `latest`, a
  link to the folder of the newest checkpoint, so that all change together.

  Raises:
    OSError: Where there are no symbolic links.
  """
  _symlink(os.path.relpath(path, directory), os.path.join(directory, _LATEST))
  for name in os.listdir(path):
    target, link = os.path.join(_LATEST, name), os.path.join(directory, name)
    is_there = os.path.islink(link) and os.readlink(link) == target
    # The output directory has a `config.gin` of its own, the first.
    is_its_own = name == folders.CONFIG or name.startswith(folders.MANIFEST)
    if not is_its_own and not is_there:
      _symlink(target, link)


def _symlink(target, path):
  if os.path.isdir(path) and not os.path.islink(path):
    shutil.rmtree(path)  # Copying the directory has copied the folder.
  with contextlib.suppress(FileNotFoundError):
    os.unlink(f'{path}.new')  # Left by a run killed between these lines.
  os.symlink(target, f'{path}.new')
  os.replace(f'{path}.new', path)
