import numpy as np
import pytest

from trax_hourglass.lab.reproduction import curves

COSTS = {'small': 10.0, 'base': 100.0, 'large': 1000.0, 'ours': 200.0}


def run(variant, seed, **bits):
  curve = [[int(step[1:]), x] for step, x in bits.items()]
  return {'variant': variant, 'seed': seed, 'curve': curve}


FAMILY = [
  run('small', 0, _1=9.0, _2=5.0),
  run('base', 0, _1=8.0, _2=4.0),
  run('large', 0, _1=6.0, _2=3.0),
]


def test_the_gap_is_at_equal_cost():
  """0.301 of the way from base to large, with its own curve at each step."""
  records = [*FAMILY, run('ours', 0, _1=8.0, _2=3.5)]
  first, second = curves.gaps(records, 'ours', 'base', COSTS)
  part = np.log10(2)
  np.testing.assert_allclose(first.shift, -2 * part)
  np.testing.assert_allclose(first.per_seed, [-2 * part])
  np.testing.assert_allclose(second.per_seed, [0.5 - part])
  assert (first.step, second.step) == (1, 2)


def test_other_seeds_are_shifted_as_seed_0():
  records = [
    *FAMILY,
    run('base', 1, _2=4.5),
    run('ours', 0, _1=8.0, _2=3.5),
    run('ours', 1, _2=3.75),
    run('ours', 2, _2=1.0),  # The baseline has none of it.
  ]
  [gap] = curves.gaps(records, 'ours', 'base', COSTS)
  np.testing.assert_allclose(
    gap.per_seed, [0.5 - np.log10(2), 0.75 - np.log10(2)]
  )
  np.testing.assert_allclose(gap.largest, 0.5)
  np.testing.assert_allclose(gap.mean, 0.625 - np.log10(2))


@pytest.mark.parametrize('missing', [{'large'}, {'ours'}, {'large', 'small'}])
def test_without_neighbours_of_its_cost_nothing_is_shifted(missing):
  """Whether the curve of a neighbour or a cost is not there yet."""
  records = [r for r in FAMILY if r['variant'] not in missing]
  records += [run('ours', seed, _2=1.0) for seed in range(3)]
  records += [run('base', seed, _2=4.0) for seed in (1, 2)]
  costs = {name: x for name, x in COSTS.items() if name not in missing}
  [gap] = curves.gaps(records, 'ours', 'base', costs)
  assert gap.shift is None
  np.testing.assert_allclose(gap.per_seed, [3.0] * 3)
  assert gap.word == 'not resolved'


def test_nothing_is_compared_with_nothing():
  assert curves.gaps(FAMILY, 'ours', 'base', COSTS) == []
  assert curves.gaps([run('ours', 0, _1=1.0)], 'ours', 'base', COSTS) == []


@pytest.mark.parametrize(
  'per_seed, largest, word',
  [
    ((0.25, 0.5, 0.75), 0.4, 'holds'),
    ((0.25, 0.5, 0.75), 0.5, 'not resolved'),
    ((-0.25, -0.5, -0.75), 0.4, 'does not hold'),
    ((0.25, 0.5), 0.1, 'not resolved'),
  ],
)
def test_word(per_seed, largest, word):
  assert curves.Gap(1, per_seed, largest, 0.0).word == word


def test_since():
  words = ['does not hold', 'holds', 'not resolved', 'holds', 'holds']
  means = {'holds': 0.5, 'not resolved': 0.0, 'does not hold': -0.5}
  found = [
    curves.Gap(i, (means[word],) * 3, 0.25, 0.0) for i, word in enumerate(words)
  ]
  assert curves.since(found, 'holds').step == 3
  assert curves.since(found[:3], 'not resolved').step == 2
  assert curves.since(found, 'not resolved') is None
