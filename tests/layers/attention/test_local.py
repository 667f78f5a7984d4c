"""Tests of the layer of local attention: its exact reach."""

import numpy as np
import pytest

from tests import trax_tools
from tests.layers import influence
import trax_hourglass as th
from trax_hourglass.errors import UserError
from trax_hourglass.layers import LocalAttention


@pytest.mark.parametrize(
  ('window', 'length'), [(1, 5), (3, 11), (3, 12), (7, 5)]
)
def test_reaches_its_window_and_no_further(window, length):
  layer = LocalAttention(8, 2, mode='eval', window=window)
  source, output = np.indices((length, length))
  np.testing.assert_array_equal(
    influence.of(layer, length, d_model=8),
    (source <= output) & (source > output - window),
  )


def test_window_counts_vectors_of_a_shortened_layer():
  """With groups of 3 an output sees its own group and the one before."""
  length, k, window = 11, 3, 2

  def local(*args, **kwargs):
    return LocalAttention(*args, **kwargs, window=window)

  layer = th.Hourglass(
    d_model=8,
    d_ff=5,
    n_heads=2,
    hierarchy='0@1 1@3 0@1',
    middle_attn_type=local,
    downsampling_fn=th.AveragePooling,
    upsampling_fn=th.NaiveUpsampling,
    mode='eval',
  )
  source, output = np.indices((length, length))
  groups_back = output // k - (source + k - 1) // k
  seen = (groups_back >= 0) & (groups_back < window)
  np.testing.assert_array_equal(
    influence.of(layer, length, d_model=8),
    seen | (source == output),  # The residual connection.
  )


def test_dropout_acts_in_training_alone():
  x = np.random.default_rng(1).normal(size=(1, 7, 8)).astype(np.float32)

  def output(mode, dropout):
    layer = LocalAttention(8, 2, dropout=dropout, mode=mode, window=3)
    forward = trax_tools.Jitted(layer, trax_tools.activations_signature(7, 8))
    return forward(forward.random_weights(), x)

  evaluated = output('eval', 0.5)
  assert np.abs(output('train', 0.5) - evaluated).max() > 0.01
  np.testing.assert_array_equal(output('train', 0.0), evaluated)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'window': 0}, 'window: got 0'),
    ({'window': 2.5}, 'window: got 2.5'),
    ({'n_heads': 8}, 'd_model 8: expected an even multiple of n_heads 8'),
    ({'dropout': 1.0}, 'dropout: got 1.0'),
    ({'mode': 'test'}, "mode: got 'test'"),
  ],
)
def test_names_what_is_wrong(arguments, message):
  with pytest.raises(UserError, match=message):
    LocalAttention(8, **arguments)
