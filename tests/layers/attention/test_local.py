"""Tests of local attention: its exact reach, values and memory."""

import jax
import numpy as np
import pytest

from tests import trax_tools
from tests.layers import influence
import trax_hourglass as th
from trax_hourglass.errors import UserError
from trax_hourglass.layers import LocalAttention
from trax_hourglass.layers.attention import local as la


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


def test_its_window_counts_vectors_of_a_shortened_layer():
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


@pytest.mark.parametrize(('window', 'length'), [(3, 11), (16, 11)])
def test_equals_full_attention_under_a_band(window, length):
  q, k, v = np.random.default_rng(0).normal(size=(3, 2, length, 5)).astype('f')
  j, i = np.indices((length, length))[::-1]
  band = (j <= i) & (j > i - window)
  local = jax.jit(la.local_attention, static_argnums=3)(q, k, v, window)
  full = jax.jit(la.attend)(q, k, v, band)
  np.testing.assert_allclose(local, full, atol=1e-6)


def test_memory_grows_with_length_times_window():
  length, window, d = 512, 8, 4
  x = np.zeros((1, length, d), np.float32)

  def loss(q, k, v):
    return la.local_attention(q, k, v, window).sum()

  jaxpr = jax.make_jaxpr(jax.grad(loss, argnums=(0, 1, 2)))(x, x, x)
  largest = max(
    np.prod(variable.aval.shape)
    for equation in jaxpr.eqns
    for variable in equation.outvars
  )
  assert largest == length * 2 * window


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
