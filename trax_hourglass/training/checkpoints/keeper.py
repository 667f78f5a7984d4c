"""The checkpoints of a loop: which to save, and which to resume from."""

from collections.abc import Collection
import contextlib
import math
import os
import time

from absl import logging

from trax_hourglass import addresses
from trax_hourglass.distribution import hosts
from trax_hourglass.errors import UserError, warn
from trax_hourglass.training import progress
from trax_hourglass.training.checkpoints import (
  find,
  folders,
  format,
  lineage,
  locking,
  saver,
  state,
)


class Keeper:
  """Saves the checkpoints of a loop and finds the one to resume from.

  On several hosts all read checkpoints, and only the first writes them.

  Attributes:
    keeps_best: Whether a checkpoint is kept for its metric.
  """

  def __init__(
    self,
    output_dir: str | None,
    keep_last: int,
    best: tuple[str | None, str | None],
    metrics: Collection[str],
    save_every_minutes: float | None,
  ):
    """Takes arguments of the loop; without a directory nothing is saved.

    `best` are the metrics whose lowest and whose highest value is kept.

    Raises:
      UserError: If one of these is not among the `metrics` of the loop.
    """
    for name in best:
      if name is not None and name not in metrics:
        raise UserError(
          f'checkpoint_lowest or checkpoint_highest: got {name!r}, expected '
          f'one of the metrics {metrics}'
        )
    self.keeps_best = best != (None, None)
    addresses.check_on_disk('output_dir', output_dir)
    self._directory = output_dir and os.path.expanduser(output_dir)
    state.check_counters(self._directory)
    self._lineage = lineage.Lineage(self._directory)
    self._saver = self._directory and saver.Saver(
      self._directory, self._lineage, keep_last, *best
    )
    self._is_writing = bool(self._directory) and hosts.is_first()
    self._save_every = 60 * (save_every_minutes or math.inf)  # Seconds.
    self._last_time = time.monotonic()  # Of a save.
    self._is_saved = False  # Whether a checkpoint of the current state exists.

  def locked(self):
    """Returns a context in which no other run writes to the directory."""
    if not self._is_writing:
      return contextlib.nullcontext()
    return locking.locked(self._directory)

  def find(self, directory: str | None, filename: str | None) -> str | None:
    """Returns the path of the checkpoint that `Loop.load_checkpoint` loads."""
    if directory is None and filename is None:
      with self.locked():
        if self._is_writing:
          self._clean()
        return self._directory and find.newest_whole(
          self._directory, set_aside=self._is_writing
        )
    path = directory or self._directory or ''
    if filename is not None:
      path = os.path.join(path, filename + format.SUFFIX)
    return find.find_checkpoint(path)

  def _clean(self):
    try:
      folders.clean(self._directory)
    except OSError as error:
      warn(f'{error.filename}: cannot be removed ({error.strerror})')

  def start(self, path: str, step: int) -> None:
    """Takes a checkpoint that was loaded for the current state."""
    self._lineage.start(path, step)
    self._is_saved = self._lineage.newest_folder() is not None

  def check_same_on_hosts(self, step: int) -> None:
    """Raises `UserError` unless all hosts have loaded the same checkpoint."""
    advice = 'output_dir must be on a file system that all hosts share'
    hosts.check_same('step', step, advice)
    # Hosts may be at the same step of different trajectories.
    newest = int((self._lineage.newest or '0')[:12], 16)
    hosts.check_same('checkpoint', newest, advice)

  def include(self, basename: str) -> None:
    """Adds a file that the loop has written in Trax's format."""
    self._lineage.include(
      os.path.join(self._directory, basename + format.SUFFIX)
    )

  def mark_changed(self) -> None:
    """Records that the loop's state is no longer that of a checkpoint."""
    self._is_saved = False

  def has_others(self) -> bool:
    """Returns whether the directory has checkpoints of other trajectories.

    They are set aside once a checkpoint of this one is on disk.
    """
    return self._is_writing and bool(self._lineage.others())

  def is_save_due(self) -> bool:
    """Returns whether `save_every_minutes` have passed since the last save."""
    # Hosts that write nothing need not agree with the clock of the first.
    seconds = time.monotonic() - self._last_time
    return self._is_writing and seconds >= self._save_every

  def save(self, loop, extra: dict, *, is_permanent: bool) -> None:
    """Saves a checkpoint, in the body of `saving`.

    If there is one of the current state, only the metrics of a later evaluation
    are recorded. `extra` is as for `state.snapshot`.
    """
    if self._saver is None:
      return
    if self._is_saved:
      if self._is_writing:
        self._saver.record(state.metrics_of_step(loop))
      return
    self._last_time = time.monotonic()
    files = state.snapshot(loop, extra)
    if self._is_writing:
      self._saver.save(
        loop.step,
        files,
        permanent=is_permanent,
        metrics=state.metrics_of_step(loop),
      )
    self._is_saved = True

  @contextlib.contextmanager
  def saving(self, loop, save):
    """Lets the body save, and waits for that at the end.

    If the body raises, the steps that it has trained are saved by `save`, and
    the error says so.
    """
    if self._saver is None:
      yield
      return
    if self._saver.error or self._lineage.newest_folder() is None:
      self._is_saved = False
    if self._is_writing and self._lineage.stored():
      self._set_aside_others(loop.step)
    self._saver.start()
    if self._is_writing:
      self._saver.link()
    self._last_time = time.monotonic()
    before = loop.step
    try:
      yield
    except progress.NotFiniteError:
      self._saver.wait()
      raise
    except BaseException as error:
      note = self._save_after_error(save if loop.step != before else None, loop)
      if isinstance(error, UserError):
        error.args = (f'{error}; {note}',)
      else:
        error.add_note(note)
      raise
    self._saver.finish()

  def _save_after_error(self, save, loop):
    """Saves the steps before an error, if possible; returns a note about that.

    An error in user code leaves the state of the last step. Any other may leave
    weights that cannot be read.
    """
    try:
      if save is not None:
        save()
      self._saver.finish()
    except UserError as error:
      return str(error)
    except Exception as error:
      logging.debug('While saving', exc_info=error)
      return self.describe_last()
    if not self._is_writing:
      return (
        f'step {loop.step} is saved if the first host stopped there, too; the '
        'same commands go on from the last checkpoint'
      )
    if self._saver.path is None:
      return self.describe_last()
    step = self._saver.step
    return f'step {step} is saved; the same command goes on from there'

  def describe_last(self) -> str:
    """Returns a phrase that names the last checkpoint."""
    if self._saver is None:
      return 'there is no checkpoint'
    self._saver.wait()
    if self._saver.path is None:
      return 'there is no checkpoint yet'
    return f'the last good checkpoint is {self._saver.path}'

  def _set_aside_others(self, step):
    try:
      self._lineage.set_aside_others(step)
    except OSError as error:
      raise UserError(
        f'{self._directory}: checkpoints of another trajectory cannot be set '
        f'aside ({error}); move them away or give another directory'
      ) from error
