"""Which tokens reach which outputs (arXiv:2110.13711, Section 2.2, App. A.2).

The model runs once on a batch of one sequence and all its copies with a single
token changed: outputs must move exactly where they may.
"""

import numpy as np
import pytest
from trax import layers as tl

from tests import trax_tools
import trax_hourglass as th

VOCAB = 5

# (hierarchy, length, arguments): every shortening, every upsampling, one to
# three levels, lengths that divide and that don't.
CASES = {
  'baseline': ('2@1', 7, {}),
  'attention': ('1@1 1@3 1@1', 12, {}),
  'attention_cropped': ('1@1 1@3 1@1', 11, {}),
  'attention_s_linear_u_repeat': (
    '1@1 1@3 1@1',
    10,
    {
      'attention_downsampling_fn': th.LinearPooling,
      'attention_upsampling_fn': th.NaiveUpsampling,
    },
  ),
  'attention_u_x': (
    '1@1 1@2 0@1',
    9,
    {'attention_upsampling_fn': th.NoUpsampling},
  ),
  'average_repeat': (
    '1@1 1@4 1@1',
    10,
    {'downsampling_fn': th.AveragePooling, 'upsampling_fn': th.NaiveUpsampling},
  ),
  'linear_linear': (
    '1@1 1@3 0@1',
    12,
    {'downsampling_fn': th.LinearPooling, 'upsampling_fn': th.LinearUpsampling},
  ),
  'linear_none': (
    '1@1 1@3 1@1',
    7,
    {'downsampling_fn': th.LinearPooling, 'upsampling_fn': th.NoUpsampling},
  ),
  'two_levels': ('1@1 1@2 1@4 1@2 1@1', 13, {}),
  'two_levels_average': (
    '1@1 0@3 1@6 1@3 0@1',
    13,
    {'downsampling_fn': th.AveragePooling, 'upsampling_fn': th.NaiveUpsampling},
  ),
  'three_levels': (
    '1@1 0@2 1@4 1@8 0@4 0@2 0@1',
    17,
    {
      'downsampling_fn': th.LinearPooling,
      'upsampling_fn': th.LinearUpsampling,
    },
  ),
}


@pytest.mark.parametrize('name', CASES)
def test_outputs_see_all_earlier_tokens_and_no_later_one(name):
  hierarchy, length, arguments = CASES[name]
  influence = _influence(hierarchy, length, arguments)
  np.testing.assert_array_equal(influence, _earlier(length))


@pytest.mark.parametrize(
  'arguments',
  [
    {},
    {'downsampling_fn': th.AveragePooling, 'upsampling_fn': th.NaiveUpsampling},
  ],
  ids=['attention', 'average_repeat'],
)
def test_without_vanilla_layers_the_current_group_is_missing(arguments):
  """Token i sees all before its group, and by the residual its predecessor."""
  k, length = 3, 11
  token, output = np.indices((length, length))
  before_group = token < output // k * k
  expected = before_group | (token == output - 1)
  influence = _influence(f'0@1 2@{k} 0@1', length, arguments)
  np.testing.assert_array_equal(influence, expected)
  assert (expected != _earlier(length)).any()


def test_one_vanilla_layer_behind_the_valley_sees_the_group_again():
  influence = _influence('0@1 1@3 1@1', 11, {})
  np.testing.assert_array_equal(influence, _earlier(11))


@pytest.mark.parametrize(
  'arguments',
  [
    {},
    {'downsampling_fn': th.AveragePooling, 'upsampling_fn': th.NaiveUpsampling},
  ],
  ids=['attention', 'average_repeat'],
)
def test_a_shorter_shift_leaks(monkeypatch, arguments):
  """Shifting by k-2 before shortening by k shows a token its own group."""
  shift_right = tl.ShiftRight

  def shorter(n_positions=1, mode='train'):
    inner = n_positions > 1
    return shift_right(n_positions - 1 if inner else n_positions, mode=mode)

  monkeypatch.setattr(tl, 'ShiftRight', shorter)
  length = 12
  influence = _influence('1@1 1@3 1@1', length, arguments)
  leaks = influence & ~_earlier(length)
  # The shift lets one token too many into each group: output 3 g sees token
  # 3 g, which it is to predict.
  token, output = np.nonzero(leaks)
  assert set(zip(token, output, strict=True)) == {
    (g, g) for g in range(0, length, 3)
  }


def _earlier(length):
  token, output = np.indices((length, length))
  return token < output


def _influence(hierarchy, length, arguments):
  """Returns booleans [token, output]: whether changing it moves that."""
  model = th.HourglassLM(
    VOCAB,
    d_model=6,
    d_ff=7,
    n_heads=3,
    hierarchy=hierarchy,
    mode='eval',
    **arguments,
  )
  tokens = np.arange(length) * 2 % VOCAB
  changed = (tokens + np.eye(length, dtype=int)) % VOCAB
  batch = np.concatenate([tokens[None], changed]).astype(np.int32)
  forward = trax_tools.Jitted(
    model, trax_tools.tokens_signature(length, batch=length + 1)
  )
  # Two draws: an influence that happens to vanish does so in one of them.
  logits = [
    np.asarray(forward(forward.random_weights(seed), batch)) for seed in (0, 1)
  ]
  return np.any([(x[1:] != x[:1]).any(-1) for x in logits], axis=0)
