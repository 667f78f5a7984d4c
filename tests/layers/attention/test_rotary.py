"""Tests of rotary attention against plain loops and Trax's own rotation."""

import functools

from jax import numpy as jnp
import numpy as np
import pytest
from trax import layers as tl
from trax.layers.research import rotary_positional_embedding

from tests import trax_tools
from trax_hourglass.errors import UserError
from trax_hourglass.kernels import sinusoids
from trax_hourglass.layers import RotaryAttention, attention_layer


def _rotated(vector, position):
  """Returns the vector with each pair rotated as a complex number."""
  d = len(vector)
  pairs = vector[: d // 2] + 1j * vector[d // 2 :]
  pairs *= [
    np.exp(1j * position / 10_000 ** (2 * i / d)) for i in range(d // 2)
  ]
  return np.concatenate([pairs.real, pairs.imag])


def _loop(x, weights, n_heads):
  """Returns rotary attention of one sequence, (query, key) pair by pair."""
  w_q, b_q, w_k, b_k, w_v, b_v, w_o, b_o = weights
  q, k, v = x @ w_q + b_q, x @ w_k + b_k, x @ w_v + b_v
  d = x.shape[1] // n_heads
  merged = np.zeros_like(x)
  for h in range(n_heads):
    head = slice(h * d, (h + 1) * d)
    for i in range(len(x)):
      query = _rotated(q[i, head], i)
      logits = [
        query @ _rotated(k[j, head], j) / np.sqrt(d) for j in range(i + 1)
      ]
      shares = np.exp(logits) / np.exp(logits).sum()
      merged[i, head] = shares @ v[: i + 1, head]
  return merged @ w_o + b_o


def test_equals_a_plain_loop():
  length, d_model, n_heads = 7, 12, 3
  layer = RotaryAttention(d_model, n_heads, dropout=0.1, mode='eval')
  forward = trax_tools.Jitted(
    layer, trax_tools.activations_signature(length, d_model, batch=2)
  )
  weights = forward.random_weights()
  x = np.random.default_rng(1).normal(size=(2, length, d_model)).astype('f')
  for got, sequence in zip(forward(weights, x), x, strict=True):
    np.testing.assert_allclose(
      got, _loop(sequence, weights, n_heads), atol=1e-5
    )


def test_rotates_as_trax_does():
  x = np.random.default_rng(2).normal(size=(2, 1031, 6)).astype(np.float32)
  np.testing.assert_allclose(
    sinusoids.rotate(x), rotary_positional_embedding.rotate(x), atol=1e-3
  )
  np.testing.assert_allclose(
    sinusoids.rotate(x)[:, :31],
    rotary_positional_embedding.rotate(x)[:, :31],
    atol=1e-5,
  )


def test_products_of_rotated_vectors_depend_on_their_distance():
  q, k = np.random.default_rng(3).normal(size=(2, 6)).astype(np.float32)
  rotated_q, rotated_k = sinusoids.rotate(np.tile([[q], [k]], (1, 11, 1)))
  products = rotated_q @ rotated_k.T
  for distance in range(-10, 11):
    np.testing.assert_allclose(
      np.diag(products, distance), np.diag(products, distance)[0], atol=1e-5
    )
  assert np.std(products[0]) > 0.1


def test_equals_the_rotary_attention_of_trax():
  """In Trax queries and keys share weights, and heads share a rotation."""
  length, d_model = 7, 6
  signature = trax_tools.activations_signature(length, d_model)
  theirs = functools.partial(
    tl.PureLSHSelfAttentionWrapper,
    pure_lsh_implementation=functools.partial(
      tl.MixedLSHSelfAttention, std_length=length
    ),
    num_weights=2,
    rotary_position_emb=True,
  )
  theirs = trax_tools.Jitted(
    attention_layer(theirs, d_model, mode='eval'), signature
  )
  ours = trax_tools.Jitted(RotaryAttention(d_model, mode='eval'), signature)
  weights = theirs.random_weights()
  x = np.random.default_rng(4).normal(size=(1, length, d_model)).astype('f')
  y = ours(weights[:2] + weights, x)
  np.testing.assert_allclose(y, theirs(weights, x), atol=1e-5)
  assert np.std(y) > 0.1


def test_keeps_the_precision_of_its_input():
  layer = RotaryAttention(8, 2, mode='eval')
  forward = trax_tools.Jitted(layer, trax_tools.activations_signature(5, 8))
  weights = forward.random_weights()
  x = np.random.default_rng(5).normal(size=(1, 5, 8)).astype(np.float32)
  y = forward(weights, jnp.asarray(x, jnp.bfloat16))
  assert y.dtype == jnp.bfloat16
  np.testing.assert_allclose(
    y.astype(np.float32), forward(weights, x), atol=0.03
  )


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'d_model': 12, 'n_heads': 4}, 'd_model 12: expected an even multiple of'),
    ({'d_model': 10, 'n_heads': 4}, 'd_model 10: expected an even number that'),
    ({'d_model': 8, 'dropout': 1.0}, 'dropout: got 1.0'),
    ({'d_model': 8, 'mode': 'test'}, "mode: got 'test'"),
  ],
)
def test_names_what_is_wrong(arguments, message):
  with pytest.raises(UserError, match=message):
    RotaryAttention(**arguments)
