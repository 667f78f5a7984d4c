"""Losses since the last evaluation, and batches that were skipped."""

from collections.abc import Callable
import dataclasses
import math
import time

import jax
import numpy as np

from trax_hourglass.errors import UserError, warn
from trax_hourglass.training import updates


class NotFiniteError(UserError):
  """A loss, gradient or weight is not finite, so its step must not be saved."""


@dataclasses.dataclass
class Sums:
  """Running totals since the last evaluation."""

  loss: float = 0.0
  n_steps: int = 0
  seconds: float = 0.0
  metrics: dict[str, float] = dataclasses.field(default_factory=dict)
  is_eval_due: bool = False


class Progress:
  """Adds up losses, and stops a run at one that is not finite.

  Reading a loss waits for the device. So it is read after the next step has
  been started, and the device is never idle.

  Attributes:
    sums: Running totals since the last evaluation.
    n_skipped: Batches skipped so far.
  """

  def __init__(
    self, max_skipped_in_a_row: int, last_checkpoint: Callable[[], str]
  ):
    """Takes an argument of the loop, and a function that names a checkpoint."""
    self.sums = Sums()
    self.n_skipped = 0
    self._n_skipped_in_a_row = 0
    self._max_skipped_in_a_row = max_skipped_in_a_row
    self._last_checkpoint = last_checkpoint
    self._unread = None
    self._start_time = time.monotonic()

  def start_clock(self) -> None:
    """Resumes counting seconds."""
    self._start_time = time.monotonic() - self.sums.seconds

  def means(self) -> tuple[float, float, dict[str, float]]:
    """Returns the mean loss, the steps per second, and means of the metrics.

    If all steps were skipped, the loss is NaN.
    """
    sums, seconds = self.sums, time.monotonic() - self._start_time
    n_steps = max(1, sums.n_steps)
    metrics = {name: value / n_steps for name, value in sums.metrics.items()}
    metrics = {'steps per second': n_steps / seconds, **metrics}
    if self.n_skipped:
      metrics['skipped batches'] = self.n_skipped
    loss = sums.loss / n_steps if sums.n_steps else math.nan
    return loss, sums.n_steps / seconds, metrics

  def start_over(self) -> None:
    """Starts new totals, after an evaluation or for another task."""
    self.sums = Sums()
    self.start_clock()

  def put(self, step: int, n_drawn: int, stats) -> None:
    """Keeps a step's statistics on the device, to be read later."""
    self._unread = step, n_drawn, stats

  def read(self) -> tuple[int, int, dict[str, float]] | None:
    """Waits for the step put last and returns it; `None` if it was read."""
    if self._unread is None:
      return None
    (step, n_drawn, stats), self._unread = self._unread, None
    stats = jax.device_get(stats)  # One value, or one for each device.
    return step, n_drawn, {k: float(np.mean(x)) for k, x in stats.items()}

  def add(self, step: int, n_drawn: int, stats: dict[str, float]) -> bool:
    """Adds a step to the totals; returns whether it was not skipped.

    Raises:
      NotFiniteError: If its loss is not finite, or too many were skipped.
    """
    culprit = _find_culprit(stats)
    with_batch = f'step {step}: {culprit}, with batch {n_drawn} of the stream'
    if stats.pop(updates.SKIPPED, False):
      self.n_skipped += 1
      self._n_skipped_in_a_row += 1
      if self._n_skipped_in_a_row > self._max_skipped_in_a_row:
        raise NotFiniteError(
          f'{with_batch}, after {self._max_skipped_in_a_row} batches in a row '
          f'were skipped; {self._last_checkpoint()}; lower the learning rate '
          'or look at the data'
        )
      warn(
        f'step {step}: {culprit}; batch {n_drawn} skipped, '
        f'{self.n_skipped} skipped so far'
      )
      return False
    self._n_skipped_in_a_row = 0
    if culprit:
      raise NotFiniteError(
        f'{with_batch}; {self._last_checkpoint()}; lower the learning rate, or '
        "skip such batches: --config='trax_hourglass.Loop.skip_nonfinite = "
        "True'"
      )
    self.sums.n_steps += 1
    self.sums.loss += stats['loss']
    for name, value in stats.items():
      self.sums.metrics[name] = self.sums.metrics.get(name, 0.0) + value
    return True

  def state(self) -> dict:
    """Returns the totals and counts, for a checkpoint."""
    self.sums.seconds = time.monotonic() - self._start_time
    return {
      'sums': dataclasses.asdict(self.sums),
      'n_skipped': self.n_skipped,
      'n_skipped_in_a_row': self._n_skipped_in_a_row,
    }

  def restore(self, state: dict | None) -> None:
    """Restores a saved `state`, or starts new totals and counts if `None`."""
    state = state or {}
    self.sums = Sums(**state.get('sums', {}))
    self.n_skipped = state.get('n_skipped', 0)
    # Checkpoints of earlier versions have none.
    self._n_skipped_in_a_row = state.get('n_skipped_in_a_row', 0)
    self._unread = None


def _find_culprit(stats):
  """Returns a statistic that is not finite, such as 'loss nan', if any."""
  for name, words in (('loss', 'loss'), ('gradients_l2', 'norm of gradients')):
    if not math.isfinite(stats.get(name, 0.0)):
      return f'{words} {stats[name]}'
  return None
