"""Reports on a run's progress: a bar, and a line per evaluation."""

import contextlib
import math
import signal
import sys

import tqdm

from trax_hourglass.errors import reason, warn
from trax_hourglass.layers.metrics import Measure, nats_to_bits
from trax_hourglass.training import schedules
from trax_hourglass.training.interruption import Watch


class Reports:
  """Shows reports, except on hosts that are silent.

  Attributes:
    bar: The bar of training steps.
  """

  def __init__(self, watch: Watch, *, is_silent: bool):
    """Requests a stop from `watch` if nobody reads the output any more."""
    self._watch = watch
    self._is_silent = is_silent
    self._is_mute = False  # Whether the last line could not be printed.
    self._has_warned = False
    self.bar = tqdm.tqdm(disable=True)

  def warn_of_zero_rates(self, schedule, first: int, last: int) -> None:
    """Warns once if a run ends with steps at learning rate zero.

    Arguments are those of `schedules.zero_rates`.
    """
    if self._is_silent or self._has_warned:
      return
    steps = schedules.zero_rates(schedule, first, last)
    self._has_warned = bool(steps)
    if steps:
      warn(
        f'learning rate: zero at steps {steps[0]:,} to {steps[-1]:,}, where '
        'nothing is learned; end the run before them (train.steps) or give its '
        'schedule more steps (cycle_steps)'
      )

  @contextlib.contextmanager
  def progress_bar(self, first: int, last: int):
    """Shows a bar of training steps during the body, if on a terminal."""
    with tqdm.tqdm(
      total=last,
      initial=first,
      unit=' steps',
      bar_format=(
        '{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}, '
        '{rate_noinv_fmt}, {remaining} left'
      ),
      mininterval=0.5,
      disable=self._is_silent or not sys.stderr.isatty(),
      dynamic_ncols=True,
    ) as self.bar:
      yield

  def say(self, line: str) -> None:
    """Prints a line. If nobody reads it any more, the run saves and stops."""
    if self._is_silent:
      return
    try:
      tqdm.tqdm.write(line, file=sys.stdout)
      sys.stdout.flush()
      self._is_mute = False
    except BrokenPipeError:
      self._watch.stop(signal.SIGPIPE)
      self._is_mute = True
    except OSError as error:
      if not self._is_mute:
        warn(f'stdout: cannot be written ({reason(error)}); training goes on')
      self._is_mute = True


def format_loss(nats: float, measure: Measure) -> str:
  """Returns 'loss 2.1 nats, ...', or 'loss n/a' if all steps were skipped."""
  if math.isnan(nats):
    return 'loss n/a'
  bits = nats_to_bits(nats)
  return f'loss {nats:.4f} nats, {bits:.4f} {measure.unit}'


def format_metrics(metrics: dict[str, float]) -> str:
  """Returns 'validation bits_per_byte 4.1, ...', the bits first."""
  names = sorted(metrics, key=lambda name: not name.startswith('bits_per_'))
  return 'validation ' + ', '.join(
    f'{name} {float(metrics[name]):.4f}' for name in names
  )
