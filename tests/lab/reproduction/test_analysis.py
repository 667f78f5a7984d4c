import numpy as np
import pytest

from trax_hourglass.lab.reproduction import analysis
from trax_hourglass.lab.reproduction.claims import Claim

CLAIM = Claim('text', 'better', 'worse', baseline='base')


def runs(first_seed=0, **bits):
  return [
    {'variant': variant, 'seed': seed, 'bits': value}
    for variant, values in bits.items()
    for seed, value in enumerate(values, first_seed)
  ]


@pytest.mark.parametrize(
  'better, worse, base, text',
  [
    ([2.0, 2.1, 2.2], [2.5, 2.5, 2.5], [2.0, 2.1, 2.2], 'holds'),
    ([2.0, 2.0, 2.5], [2.6, 2.6, 2.6], [2.1] * 3, 'not resolved'),
    ([2.1] * 3, [2.5, 2.5, 3.0], [2.1] * 3, 'holds'),
    ([2.1] * 3, [2.4, 2.4, 3.0], [2.1] * 3, 'not resolved'),
    ([2.5, 2.5, 2.5], [2.0, 2.1, 2.2], [2.0, 2.1, 2.2], 'does not hold'),
    ([2.0, 2.1, 2.2], [2.2, 2.2, 2.2], [2.0, 2.1, 2.2], 'not resolved'),
    ([2.0], [2.5] * 3, [2.0] * 3, 'not resolved: 1 of 3 seeds'),
    ([2.0] * 3, [2.5] * 3, [2.0] * 2, 'not resolved: 2 of 3 seeds'),
    ([2.0] * 3, [], [2.0] * 3, 'not run'),
  ],
)
def test_verdict(better, worse, base, text):
  records = runs(better=better, worse=worse, base=base)
  assert analysis.verdict(CLAIM, records).text == text


def test_verdict_says_by_how_much():
  records = runs(better=[2.0, 2.1, 2.2], worse=[2.5] * 3, base=[3.0, 3.1, 3.3])
  found = analysis.verdict(CLAIM, records)
  np.testing.assert_allclose(
    (found.difference, found.baseline, found.largest), (0.4, 0.3, 0.3)
  )
  np.testing.assert_allclose(found.per_seed, (0.5, 0.4, 0.3))
  assert found.word == 'holds'


def test_together():
  verdicts = [
    analysis.Verdict(word, reason)
    for word, reason in (
      ('holds', ''),
      ('not resolved', '1 of 3 seeds'),
      ('holds', ''),
      ('not run', ''),
    )
  ]
  assert (
    analysis.together(verdicts)
    == '2 of 4 hold, 1 of 4 not resolved, 1 of 4 not run'
  )
  assert analysis.together([analysis.Verdict('not run')] * 2) == 'not run'


def test_lines_and_their_gap():
  costs = {'a': [10.0], 'b': [100.0], 'c': [100.0], 'd': [1000.0]}
  records = runs(a=[5.0, 6.0], b=[4.0, 4.0], c=[4.5, 5.0], d=[3.5, 3.0])
  ours = analysis.lines_by_run(records, ['a', 'b'], costs)
  theirs = analysis.lines_by_run(records, ['c', 'd'], costs)
  assert list(ours) == [(0, 0), (1, 0)]
  np.testing.assert_allclose([line.slope for line in ours.values()], [-1, -2])
  # Both were fitted at 100.
  np.testing.assert_allclose(analysis.gaps(ours, theirs), [0.5, 1.0])


def test_lines_of_each_time_that_costs_were_measured():
  costs = {'a': [10.0, 10.0], 'b': [100.0, 1000.0]}
  lines = analysis.lines_by_run(runs(a=[5.0], b=[3.0]), ['a', 'b'], costs)
  assert list(lines) == [(0, 0), (0, 1)]
  np.testing.assert_allclose([line.slope for line in lines.values()], [-2, -1])


def test_a_seed_that_is_not_complete_has_no_line():
  costs = {'a': [1.0], 'b': [10.0]}
  lines = analysis.lines_by_run(runs(a=[5.0, 6.0], b=[4.0]), 'ab', costs)
  assert list(lines) == [(0, 0)]


def test_gaps_are_of_the_same_seeds():
  costs = {name: [10.0**i] for i, name in enumerate('abcd')}
  ours = runs(a=[5.0, 6.0], b=[4.0, 4.0])
  theirs = runs(first_seed=1, c=[5.0], d=[4.0])
  [gap] = analysis.gaps(
    analysis.lines_by_run(ours, 'ab', costs),
    analysis.lines_by_run(theirs, 'cd', costs),
  )
  # At the middle of what was fitted, 10**1.5: 6 - 1 against 5.5.
  np.testing.assert_allclose(gap, 5.5 - 3.0)


def test_exponent():
  assert analysis.exponent([1, 2, 4], [64, 16, 4]) == pytest.approx(2)


def test_copying_bounds():
  bounds = analysis.copying_bounds(n_letters=26)
  assert bounds['without'] == pytest.approx(0.359, abs=5e-4)
  assert bounds['with'] == pytest.approx(0.679, abs=5e-4)
  assert analysis.copying_bounds(4)['without'] == pytest.approx(0.5)
