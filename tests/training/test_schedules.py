"""Tests of the learning rates, at the values that the paper states."""

import jax
import numpy as np
import pytest
from trax import fastmath, optimizers
from trax.supervised import lr_schedules

from tests.training.small_loop import small_loop, weights
from trax_hourglass.errors import UserError
from trax_hourglass.training import schedules

COSINE = {'peak': 4e-4, 'warmup_steps': 4000, 'cycle_steps': 200_000}
RSQRT = {'constant': 0.0442, 'warmup_steps': 8000}
TAIL = {**RSQRT, 'tail_start': 400_000, 'steps': 470_000}

ALL = [
  schedules.warmup_cosine(**COSINE),
  schedules.warmup_rsqrt(**RSQRT),
  schedules.warmup_rsqrt_cosine_tail(**TAIL),
]
every_schedule = pytest.mark.parametrize('schedule', ALL)


def rates(schedule, steps):
  """Returns the rates that Trax's loop would use: plain numbers, from NumPy."""
  with fastmath.use_backend(fastmath.Backend.NUMPY):
    return [schedule(step) for step in steps]


def test_warmup_and_cosine():
  steps = [1, 2000, 4000, 54_000, 104_000, 154_000]
  cosines = [0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5]
  shares = [1 / 4000, 0.5, 1, *cosines]
  expected = [4e-4 * share for share in shares]
  assert rates(ALL[0], steps) == pytest.approx(expected, rel=1e-12)


def test_cosine_ends_at_zero_and_stays_there():
  assert rates(ALL[0], [203_999]) > [0]
  assert rates(ALL[0], [204_000, 204_001, 300_000, 500_000]) == [0] * 4
  assert rates(ALL[2], [469_999]) > [0]
  assert rates(ALL[2], [470_000, 470_001, 600_000]) == [0] * 3


def test_imagenet32():
  peak, start = rates(ALL[2], [8000, 400_000])
  assert f'{peak:.3e} {start:.3e}' == '4.942e-04 6.989e-05'
  assert rates(ALL[2], [4000, 435_000]) == pytest.approx([peak / 2, start / 2])
  steps = [1, 8000, 32_000, 399_999, 400_000]
  assert rates(ALL[2], steps) == rates(ALL[1], steps)


def test_rsqrt_is_the_same_as_traxs():
  multifactor = lr_schedules.multifactor(**RSQRT)
  steps = [1, 100, 8000, 8001, 300_000, 470_000]
  assert rates(ALL[1], steps) == pytest.approx(rates(multifactor, steps))


def test_cosine_is_the_same_as_traxs_until_its_end():
  multifactor = lr_schedules.multifactor(
    'constant * linear_warmup * cosine_decay',
    constant=COSINE['peak'],
    warmup_steps=COSINE['warmup_steps'],
    steps_per_cycle=COSINE['cycle_steps'],
  )
  steps = [1, 3999, 4000, 4001, 99_999, 203_999]
  assert rates(ALL[0], steps) == rates(multifactor, steps)
  assert rates(multifactor, [204_000]) == [COSINE['peak']]  # What we avoid.


@every_schedule
def test_no_jump(schedule):
  steps = np.arange(1, 480_000)
  largest_move = np.abs(np.diff(schedule(steps))).max()
  assert largest_move < 1.1e-7  # A step of the steepest warmup is 1e-7.


@every_schedule
def test_arrays_and_jit_give_the_same(schedule):
  steps = np.array([1, 4000, 8000, 200_000, 400_000, 435_000, 470_000])
  expected = rates(schedule, steps.tolist())
  with fastmath.use_backend(fastmath.Backend.NUMPY):
    np.testing.assert_array_equal(schedule(steps), expected)
  np.testing.assert_allclose(
    jax.jit(schedule)(steps), expected, rtol=1e-4, atol=1e-11
  )


_SHORT = schedules.warmup_cosine(peak=1.0, warmup_steps=10, cycle_steps=90)


@pytest.mark.parametrize(
  ('schedule', 'first', 'last', 'zeros'),
  [
    (_SHORT, 1, 99, range(0)),
    (_SHORT, 1, 100, range(0)),  # It ends there, as those of the paper do.
    (_SHORT, 1, 101, range(100, 102)),
    (_SHORT, 1, 1_000_000, range(100, 1_000_001)),
    (_SHORT, 500, 501, range(500, 502)),
    (_SHORT, 500, 500, range(500, 501)),
    (_SHORT, 1, 1, range(0)),
    (_SHORT, 501, 500, range(0)),  # No step at all.
    (lambda step: not 40 <= step < 60, 1, 50, range(40, 51)),
    (lambda step: not 40 <= step < 60, 1, 500, range(0)),
    (lambda step: not (step % 100 < 3), 1, 302, range(300, 303)),
    (lambda step: 0.1 * (step < 31), 1, 5000, range(31, 5001)),
    (lambda step: 0.0, 1, 7, range(1, 8)),
  ],
)
def test_steps_at_rate_zero(schedule, first, last, zeros):
  assert schedules.zero_rates(schedule, first, last) == zeros


def test_run_says_once_that_its_last_steps_are_at_rate_zero(capsys):
  schedule = schedules.warmup_cosine(peak=0.1, warmup_steps=1, cycle_steps=2)
  loop = small_loop(lr_schedule=schedule, optimizer=optimizers.SGD)
  loop.run(3)
  assert not capsys.readouterr().err
  before = [x.copy() for x in weights(loop)]
  loop.run(2)
  assert capsys.readouterr().err == (
    'warning: learning rate: zero at steps 4 to 5, where nothing is learned; '
    'end the run before them (train.steps) or give its schedule more steps '
    '(cycle_steps)\n'
  )
  for x, y in zip(weights(loop), before, strict=True):
    np.testing.assert_array_equal(x, y)
  loop.run(1)
  assert not capsys.readouterr().err


@pytest.mark.parametrize(
  ('factory', 'arguments', 'message'),
  [
    (schedules.warmup_cosine, {'peak': 0}, 'peak: got 0, expected a number'),
    (schedules.warmup_cosine, {'peak': '4e-4'}, "peak: got '4e-4'"),
    (schedules.warmup_cosine, {'warmup_steps': 0}, 'warmup_steps: got 0'),
    (schedules.warmup_cosine, {'cycle_steps': 2e5}, 'cycle_steps: got 2000'),
    (schedules.warmup_rsqrt, {'constant': float('nan')}, 'constant: got nan'),
    (schedules.warmup_rsqrt, {'warmup_steps': -1}, 'warmup_steps: got -1'),
    (
      schedules.warmup_rsqrt_cosine_tail,
      {'tail_start': 7999},
      'tail_start: got 7999, expected at least warmup_steps, 8000, and less',
    ),
    (
      schedules.warmup_rsqrt_cosine_tail,
      {'steps': 400_000},
      'and less than steps, 400000',
    ),
    (schedules.warmup_rsqrt_cosine_tail, {'steps': None}, 'steps: got None'),
  ],
)
def test_refuses(factory, arguments, message):
  good = {'warmup_cosine': COSINE, 'warmup_rsqrt': RSQRT}
  with pytest.raises(UserError, match=message):
    factory(**{**good.get(factory.__name__, TAIL), **arguments})
