"""Tests that softmax is in float32 for activations in bfloat16."""

import functools

import jax
from jax import numpy as jnp
import numpy as np
import pytest
from trax import shapes

from tests import trax_tools
from tests.layers import influence
from tests.layers.attention import test_types
from trax_hourglass import layers
from trax_hourglass.layers import attention_layer

LENGTH, D_MODEL, N_HEADS = 11, 8, 2

OURS = {
  'LocalAttention': functools.partial(layers.LocalAttention, window=5),
  'LSHAttention': layers.LSHAttention,
  'LSHAttention of many chunks': functools.partial(
    layers.LSHAttention, chunk_len=4
  ),
  'RelativeAttention': layers.RelativeAttention,
  'RotaryAttention': layers.RotaryAttention,
}
OTHERS = test_types.TYPES | test_types.RARE


def _layer(attention_type, mode='eval', length=LENGTH, dtype=jnp.bfloat16):
  """Returns a layer as a function of flat weights and activations."""
  biases = layers.RelativeBiases(D_MODEL, N_HEADS)
  layer = attention_layer(attention_type, D_MODEL, N_HEADS, 0, mode, *biases)
  signature = shapes.ShapeDtype((1, length, D_MODEL), dtype)
  return trax_tools.Jitted(layer, signature)


def _weights_that_average_ones(forward):
  """Returns weights that make all values 1, and the outputs what comes of it.

  The layers end with the values' `Dense` and, after biases that have no other
  place, that of the output.
  """
  weights = forward.random_weights()
  *_, (kernel, bias), (out_kernel, out_bias) = [
    (i, i + 1)
    for i, shape in enumerate(forward.shapes)
    if shape == (D_MODEL, D_MODEL)
  ]
  weights[kernel] *= 0
  weights[bias] = np.ones(D_MODEL, np.float32)
  weights[out_kernel] = np.eye(D_MODEL, dtype=np.float32)
  weights[out_bias] *= 0
  return weights


@pytest.mark.parametrize('mode', ['train', 'eval', 'predict'])
@pytest.mark.parametrize('name', OURS)
def test_averages_ones_to_one(name, mode):
  length = 19
  forward = _layer(OURS[name], mode, length)
  x = np.random.default_rng(3).normal(size=(1, length, D_MODEL)) * 5
  y = forward(_weights_that_average_ones(forward), x.astype(jnp.bfloat16))
  assert y.dtype == jnp.bfloat16
  np.testing.assert_allclose(y.astype(np.float32), 1, atol=0.01)


@pytest.mark.parametrize('name', OURS)
def test_outputs_are_those_in_float32(name, monkeypatch):
  _check_outputs(OURS[name], monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize('name', OTHERS)
def test_outputs_of_rarer_types_are_those_in_float32(name, monkeypatch):
  _check_outputs(OTHERS[name], monkeypatch)


def _check_outputs(attention_type, monkeypatch):
  influence.fix_hashes(monkeypatch)
  x = np.random.default_rng(4).normal(size=(1, LENGTH, D_MODEL))
  x = x.astype(jnp.bfloat16)
  exact, forward = (
    _layer(attention_type, dtype=dtype) for dtype in (np.float32, jnp.bfloat16)
  )
  weights = forward.random_weights()
  expected = exact(weights, x.astype(np.float32))
  y = forward(weights, x)
  assert y.dtype == jnp.bfloat16
  error = np.abs(y.astype(np.float32) - expected).max()
  assert error < 0.02 * np.abs(expected).max()


def test_softmax_of_hashes_is_in_float32():
  """No exponential or logarithm has an input or output in bfloat16."""
  forward = _layer(layers.LSHAttention, 'train')
  x = jnp.ones((1, 3, D_MODEL), jnp.bfloat16)
  jaxpr = jax.make_jaxpr(forward)(forward.random_weights(), x)
  text = str(jaxpr)
  assert ':f32' in text and ' exp ' in text and ' log ' in text
  for line in text.splitlines():
    if ' exp ' in line or ' log ' in line:
      assert ':bf16' not in line
