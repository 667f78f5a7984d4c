"""Which tokens reach which outputs (arXiv:2110.13711, Section 2.2, App. A.2).

The model runs once on a batch of one sequence and all its copies with a single
token changed: outputs must move exactly where they may.
"""

import numpy as np
import pytest

from tests.layers import influence
from tests.models import cases
import trax_hourglass as th
from trax_hourglass.models import levels

PARAMETER_FREE = {
  'downsampling_fn': th.AveragePooling,
  'upsampling_fn': th.NaiveUpsampling,
}

# name -> (hierarchy, length, arguments), which Trax's model does not take:
# lengths that k does not divide, unequal sides, no shortening.
MORE = {
  'baseline': ('2@1', 7, {}),
  'attention': ('1@1 1@3 0@1', 11, {}),
  'average_repeat': ('1@1 1@4 1@1', 10, PARAMETER_FREE),
  'two_levels': ('1@1 1@2 0@4 0@2 0@1', 13, {}),
  'one_block_behind_the_valley': ('0@1 1@3 1@1', 11, PARAMETER_FREE),
}


@pytest.mark.parametrize('name', sorted(set(cases.CASES) - {'no_vanilla'}))
def test_outputs_see_all_earlier_tokens_and_no_later_one(name):
  length = cases.CASES[name][1]
  reached = _influence(cases.ours(name), length)
  np.testing.assert_array_equal(reached, _earlier(length))


@pytest.mark.parametrize('name', MORE)
def test_causality_in_any_hierarchy_and_length(name):
  hierarchy, length, arguments = MORE[name]
  model = cases.build(th.HourglassLM, length, hierarchy=hierarchy, **arguments)
  np.testing.assert_array_equal(_influence(model, length), _earlier(length))


@pytest.mark.parametrize('name', ['no_vanilla', 'average_repeat'])
def test_without_vanilla_layers_the_current_group_is_missing(name):
  """Token i sees all before its group, and by the residual its predecessor."""
  if name == 'no_vanilla':
    length, model = cases.CASES[name][1], cases.ours(name)
  else:
    length = 11
    model = cases.build(
      th.HourglassLM, length, hierarchy='0@1 2@3 0@1', **PARAMETER_FREE
    )
  token, output = np.indices((length, length))
  expected = (token < output // 3 * 3) | (token == output - 1)
  np.testing.assert_array_equal(_influence(model, length), expected)
  assert (expected != _earlier(length)).any()


@pytest.mark.parametrize(
  'arguments', [{}, PARAMETER_FREE], ids=['attention', 'average_repeat']
)
def test_a_shorter_shift_leaks(monkeypatch, arguments):
  """Shifting by k-2 before shortening by k shows a token to its own output."""
  shift_right = levels.ShiftRight
  monkeypatch.setattr(
    levels, 'ShiftRight', lambda n, total: shift_right(n - 1, total)
  )
  length = 12
  model = cases.build(
    th.HourglassLM, length, hierarchy='1@1 1@3 1@1', **arguments
  )
  leaks = _influence(model, length) & ~_earlier(length)
  # Each group sees one token too many: its first output sees its own target.
  expected = np.diag(np.arange(length) % 3 == 0)
  np.testing.assert_array_equal(leaks, expected)


def _earlier(length):
  token, output = np.indices((length, length))
  return token < output


def _influence(model, length):
  """Returns booleans [token, output]: whether the token moves the output."""
  return influence.between(cases.changed_tokens(length), model)
