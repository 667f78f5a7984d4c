"""Tests of the hierarchy notation."""

import itertools
import operator

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from trax_hourglass import hierarchy
from trax_hourglass.errors import UserError
from trax_hourglass.hierarchy import Level


@pytest.mark.parametrize(
  ('text', 'expected'),
  [
    ('12@1', Level(1, 12)),
    ('0@1', Level(1, 0)),
    ('2@1 8@3 2@1', Level(1, 2, 2, (Level(3, 8),))),
    ('0@1 8@3 2@1', Level(1, 0, 2, (Level(3, 8),))),
    (
      '2@1 1@2 4@4 3@2 5@1',
      Level(1, 2, 5, (Level(2, 1, 3, (Level(4, 4),)),)),
    ),
    ('2@1 8@{3,2} 0@1', Level(1, 2, 0, (Level(3, 8), Level(2, 8)))),
    (
      '1@1 1@2 3@{4,6} 1@2 1@1',
      Level(1, 1, 1, (Level(2, 1, 1, (Level(4, 3), Level(6, 3))),)),
    ),
    (' 2@1  8@3 2@1 ', Level(1, 2, 2, (Level(3, 8),))),
  ],
)
def test_parses_the_full_notation(text, expected):
  assert hierarchy.parse(text) == expected
  assert str(expected) == ' '.join(text.split())


@pytest.mark.parametrize(
  ('text', 'vanilla_layers', 'full'),
  [
    ('6@3', None, '1@1 6@3 1@1'),
    ('6@3', (2, 0), '2@1 6@3 0@1'),
    ('6@3', [0, 5], '0@1 6@3 5@1'),
    ('6@3', (np.int64(2), 0), '2@1 6@3 0@1'),
    ('6@{2,3}', (2, 0), '2@1 6@{2,3} 0@1'),
    ('1@2 4@4 1@2', (2, 3), '2@1 1@2 4@4 1@2 3@1'),
  ],
)
def test_parses_the_notation_of_trax(text, vanilla_layers, full):
  assert str(hierarchy.parse(text, vanilla_layers)) == full


@hypothesis.given(
  steps=st.lists(st.integers(2, 5), max_size=4),
  n_layers=st.lists(st.integers(0, 40), min_size=9, max_size=9),
)
@hypothesis.settings(deadline=None, derandomize=True)
def test_prints_what_it_parses(steps, n_layers):
  n_layers = iter(n_layers)
  *outer, innermost = itertools.accumulate([1, *steps], operator.mul)
  level = Level(innermost, next(n_layers))
  for factor in reversed(outer):
    level = Level(factor, next(n_layers), next(n_layers), (level,))
  assert hierarchy.parse(str(level)) == level


@pytest.mark.parametrize(
  ('text', 'multiple'),
  [
    ('12@1', 1),
    ('1@1 1@2 4@10 1@2 1@1', 10),
    ('2@1 8@{2,3} 2@1', 6),
    ('1@1 1@2 4@{4,6} 1@2 1@1', 12),
  ],
)
def test_multiple_is_divided_by_every_level(text, multiple):
  assert hierarchy.parse(text).multiple == multiple


@pytest.mark.parametrize(
  ('text', 'vanilla_layers', 'message'),
  [
    ('', None, "hierarchy '': got no level"),
    ('2@1 8@x 2@1', None, "level '8@x' is not of the form N@f"),
    ('2@1 -8@3 2@1', None, "level '-8@3' is not"),
    ('2@1 8@3 2@1 1@1', None, 'got 4 levels, expected an odd number'),
    ('1@2 1@2', None, 'got 2 levels, expected an odd number'),
    ('2@0', None, "level '2@0' has total shorten factor 0"),
    ('1@2 4@4', None, "level '1@2' faces '4@4'"),
    ('1@2 4@4 2@2', None, "level '1@2' faces '2@2'"),
    (
      '2@2 4@3 2@2',
      None,
      "hierarchy '2@2 4@3 2@2': total shorten factor 3 is not a multiple of "
      'the 2 around it',
    ),
    ('1@1 2@4 1@6 2@4 1@1', None, '6 is not a multiple of the 4 around it'),
    ('1@1 2@4 1@2 2@4 1@1', None, '2 is not a multiple of the 4 around it'),
    ('1@1 2@4 1@8 2@2 1@1', None, "level '2@4' faces '2@2'"),
    ('1@1 2@1 1@1', None, '1 does not shorten the 1 around it'),
    ('1@1 1@2 2@2 1@2 1@1', None, '2 does not shorten the 2 around it'),
    ('2@1 8@{3} 2@1', None, "level '8@{3}' is not of the form"),
    ('2@1 8@{2, 3} 2@1', None, "level '8@{2,' is not of the form"),
    ('2@1 8@{2,2} 2@1', None, "level '8@{2,2}' repeats"),
    ('2@1 8@{0,2} 2@1', None, 'has total shorten factor 0'),
    ('2@1 8@{1,2} 2@1', None, '1 does not shorten the 1 around it'),
    ('1@1 1@2 8@{4,5} 1@2 1@1', None, '5 is not a multiple of the 2'),
    ('1@{2,3} 8@6 1@{2,3}', None, "level '1@{2,3}' has several"),
    ('1@1 1@{2,3} 8@6 1@2 1@1', None, "level '1@{2,3}' has several"),
    ('8@{2,3} 1@1 8@{2,3}', None, "level '8@{2,3}' has several"),
    ('2@1 8@3 2@1', (1, 1), 'leave vanilla_layers out'),
    ('12@1', (1, 1), 'leave vanilla_layers out'),
    ('8@3', (1,), 'vanilla_layers: got (1,)'),
    ('8@3', (1, -1), 'vanilla_layers: got (1, -1)'),
    ('8@3', 2, 'vanilla_layers: got 2'),
    (3, None, 'hierarchy: got 3, expected a string'),
    (None, None, 'hierarchy: got None, expected a string'),
  ],
)
def test_names_what_is_wrong(text, vanilla_layers, message):
  with pytest.raises(UserError) as error:
    hierarchy.parse(text, vanilla_layers)
  assert message in str(error.value)
  assert '\n' not in str(error.value)
