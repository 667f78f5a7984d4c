"""Lines that a run prints about its progress."""

import math
import sys

import tqdm

from trax_hourglass.errors import warn
from trax_hourglass.layers.metrics import Measure, nats_to_bits
from trax_hourglass.training import schedules


def warn_of_zero_rates(schedule, first: int, last: int) -> bool:
  """Warns of steps at the end of a run with rate zero; returns whether it did.

  Arguments are those of `schedules.zero_rates`.
  """
  steps = schedules.zero_rates(schedule, first, last)
  if steps:
    warn(
      f'learning rate: zero at steps {steps[0]:,} to {steps[-1]:,}, where '
      'nothing is learned; end the run before them (train.steps) or give its '
      'schedule more steps (cycle_steps)'
    )
  return bool(steps)


def progress_bar(first: int, last: int, is_hidden: bool) -> tqdm.tqdm:
  """Returns the bar of training steps; only a terminal shows it."""
  return tqdm.tqdm(
    total=last,
    initial=first,
    unit=' steps',
    bar_format=(
      '{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}, '
      '{rate_noinv_fmt}, {remaining} left'
    ),
    mininterval=0.5,
    disable=is_hidden or not sys.stderr.isatty(),
    dynamic_ncols=True,
  )


def say(line: str) -> OSError | None:
  """Prints and flushes a line; returns the error if that fails."""
  try:
    tqdm.tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()
  except OSError as error:
    return error
  return None


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
