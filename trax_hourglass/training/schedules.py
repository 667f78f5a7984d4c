"""Learning rates as functions of the training step (arXiv:2110.13711, App. B).

Each factory returns a function from a step, counted from 1, to a rate. Trax's
`lr_schedules.multifactor` restarts its cosine at the full rate after a cycle;
here the rate reaches zero and stays there.
"""

from collections.abc import Callable
import math
import numbers

from trax import fastmath
from trax.fastmath import numpy as jnp

from trax_hourglass.errors import UserError, check_positive

Schedule = Callable[[int], float]


def warmup_cosine(peak: float, warmup_steps: int, cycle_steps: int) -> Schedule:
  """Returns a linear warmup to `peak`, then half a cosine down to zero.

  Args:
    peak: The rate at `warmup_steps`.
    warmup_steps: Steps from zero to the peak.
    cycle_steps: Steps from the peak to zero. Counted from the end of the
      warmup, as by Trax.

  Raises:
    UserError: If an argument is not positive.

  Source: App. B.2 and B.6.
  """
  check_positive_number(peak=peak)
  check_positive(warmup_steps=warmup_steps, cycle_steps=cycle_steps)

  def learning_rate(step):
    decay = _cosine((step - warmup_steps) / cycle_steps)
    return peak * _warmup(step, warmup_steps) * decay

  return learning_rate


def warmup_rsqrt(constant: float, warmup_steps: int) -> Schedule:
  """Returns a linear warmup, then a decay with the square root of the step.

  Args:
    constant: Rate times the square root of the step, after the warmup. So the
      peak is `constant / sqrt(warmup_steps)`.
    warmup_steps: Steps from zero to the peak.

  Raises:
    UserError: If an argument is not positive.

  Source: App. B.3, which takes it from Vaswani et al. (2017), Section 5.3.
    There the constant is d_model**-0.5; the authors' gin files have 0.0442.
  """
  check_positive_number(constant=constant)
  check_positive(warmup_steps=warmup_steps)

  def learning_rate(step):
    decayed = constant / jnp.sqrt(jnp.maximum(step, warmup_steps))
    return decayed * _warmup(step, warmup_steps)

  return learning_rate


def warmup_rsqrt_cosine_tail(
  constant: float, warmup_steps: int, tail_start: int, steps: int
) -> Schedule:
  """Returns `warmup_rsqrt` with half a cosine at its end, down to zero.

  Args:
    constant: As for `warmup_rsqrt`.
    warmup_steps: As for `warmup_rsqrt`.
    tail_start: The last step of that schedule; the cosine starts from its rate.
    steps: The step at which the rate is zero.

  Raises:
    UserError: If an argument is not positive, or the three numbers of steps do
      not increase.

  Source: App. B.4.
  """
  before = warmup_rsqrt(constant, warmup_steps)
  check_positive(tail_start=tail_start, steps=steps)
  if not warmup_steps <= tail_start < steps:
    raise UserError(
      f'tail_start: got {tail_start}, expected at least warmup_steps, '
      f'{warmup_steps}, and less than steps, {steps}'
    )

  def learning_rate(step):
    decay = _cosine((step - tail_start) / (steps - tail_start))
    return before(jnp.minimum(step, tail_start)) * decay

  return learning_rate


def zero_rates(schedule: Schedule, first: int, last: int) -> range:
  """Returns the steps at the end of a run whose learning rate is zero.

  The range is empty if it is zero at the last step alone: a schedule may end at
  zero. Its start is found by sampling a hundred steps and bisection, so it is
  exact unless the rate leaves zero for less than a hundredth of the run.

  Args:
    schedule: Function from a step to a rate.
    first: The first step of the run.
    last: Its last step.
  """

  def is_zero(step):
    with fastmath.use_backend(fastmath.Backend.NUMPY):  # Trax's loop does, too.
      return float(schedule(step)) == 0

  # A run that only takes the first step may be part of a longer one.
  if last < first or last < 2 or not (is_zero(last) and is_zero(last - 1)):
    return range(0)
  below = first - 1  # The last step known to be before the range.
  for step in range(first, last, max(1, (last - first) // 100)):
    if not is_zero(step):
      below = step
  above = last
  while above - below > 1:
    middle = (below + above) // 2
    below, above = (below, middle) if is_zero(middle) else (middle, above)
  return range(above, last + 1)


def _warmup(step, warmup_steps):
  return jnp.minimum(1.0, step / warmup_steps)


def _cosine(progress):
  """Returns 1 up to progress 0, 0 from progress 1, half a cosine between."""
  return 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.clip(progress, 0.0, 1.0)))


def check_positive_number(**values) -> None:
  """Raises `UserError` unless each is a finite number above 0."""
  for name, value in values.items():
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not 0 < value < math.inf:
      raise UserError(f'{name}: got {value!r}, expected a number above 0')
