"""Tests of relative attention against plain loops."""

import jax
import numpy as np
import pytest
from trax import layers as tl

from tests import trax_tools
import trax_hourglass
from trax_hourglass import layers
from trax_hourglass.errors import UserError
from trax_hourglass.layers import relative_attention as ra

# (queries, keys): one level, shortening by 3, upsampling by 2, single rows.
LENGTHS = [(7, 7), (5, 15), (14, 7), (1, 1), (1, 3), (2, 1)]


def _loop(q, k, v, distances, u, w):
  """Returns the attention of one head, (query, key) pair by pair."""
  n_q, n_k = len(q), len(k)
  query_step, key_step = max(n_k // n_q, 1), max(n_q // n_k, 1)
  farthest = query_step * (n_q - 1)
  out = np.zeros_like(q)
  for i in range(n_q):
    logits, visible = [], []
    for j in range(n_k):
      if j // query_step > i // key_step:
        continue
      distance = key_step * j - query_step * i
      r = distances[farthest + distance]
      logits.append(((q[i] + u) @ k[j] + (q[i] + w) @ r) / np.sqrt(len(u)))
      visible.append(v[j])
    weights = np.exp(logits - np.max(logits))
    out[i] = weights @ np.array(visible) / weights.sum()
  return out


@pytest.mark.parametrize(('n_q', 'n_k'), LENGTHS)
def test_equals_a_plain_loop(n_q, n_k):
  rng = np.random.default_rng(n_q)
  batch, heads, d_head = 2, 3, 5

  def random(*shape):
    return rng.normal(size=shape).astype(np.float32)

  q = random(batch, heads, n_q, d_head)
  k, v = random(2, batch, heads, n_k, d_head)
  distances = random(heads, max(n_q, n_k), d_head)
  u, w = random(2, 1, heads, 1, d_head)
  got = ra.relative_attention(q, k, v, distances, u, w)
  for b in range(batch):
    for h in range(heads):
      expected = _loop(
        q[b, h], k[b, h], v[b, h], distances[h], u[0, h, 0], w[0, h, 0]
      )
      np.testing.assert_allclose(got[b, h], expected, atol=1e-5)


def test_distances_are_sinusoids_of_tokens():
  """Literal rows: in nested levels a neighbour is `total_pooling` tokens."""
  queries, memory = (np.zeros((1, n, 4), np.float32) for n in (2, 4))
  frequencies = np.array([1, 0.01])

  def rows(*distances):
    angles = np.outer(distances, frequencies)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)

  same, shorten, upsample = (
    ra.Distances(4, total_pooling=3)(inputs)
    for inputs in ((queries, queries), (queries, memory), (memory, queries))
  )
  np.testing.assert_allclose(same, rows(-3, 0), atol=1e-6)
  np.testing.assert_allclose(shorten, rows(-6, -3, 0, 3), atol=1e-6)
  # Upsampling counts vectors, whatever the level: a quirk of the checkpoints.
  np.testing.assert_allclose(upsample, rows(-3, -2, -1, 0), atol=1e-6)


def test_dropout_keeps_the_mean_and_drops_the_rate():
  n, rate = 64, 0.25
  zeros = np.zeros((1, 1, n, 2), np.float32)
  values = np.ones((1, 1, n, 2), np.float32)
  bias = np.zeros((1, 1, 1, 2), np.float32)
  arguments = zeros, zeros, values, np.zeros((1, n, 2), np.float32), bias, bias
  attended = np.asarray(
    ra.relative_attention(*arguments, rate, rng=jax.random.PRNGKey(0))
  )
  # Row i is the share of its i + 1 equal weights that is kept, over 1 - rate.
  assert abs(attended[0, 0, n // 2 :].mean() - 1) < 0.03
  assert attended[0, 0, 0, 0] in (0, np.float32(1 / (1 - rate)))
  assert len(np.unique(attended)) > n // 4
  np.testing.assert_allclose(ra.relative_attention(*arguments), 1, rtol=1e-6)


def test_biases_are_shared_when_passed_and_own_otherwise():
  d_model, n_heads = 6, 3
  signature = trax_tools.activations_signature(4, d_model)
  biases = layers.RelativeBiases(d_model, n_heads)
  shared = [
    layers.RelativeAttention(d_model, n_heads, 0.0, 'eval', *biases)
    for _ in range(2)
  ]
  own = [layers.RelativeAttention(d_model, n_heads) for _ in range(2)]
  n_shared, n_own = (
    len(trax_tools.Jitted(tl.Serial(*pair), signature).shapes)
    for pair in (shared, own)
  )
  assert n_own == n_shared + 2


def test_half_a_pair_of_biases_is_refused():
  bias, _ = layers.RelativeBiases(6, 3)
  with pytest.raises(UserError, match='got only one of them'):
    layers.RelativeAttention(6, 3, context_bias_layer=bias)


def test_lengths_that_do_not_divide_are_named():
  layer = layers.RelativeCrossAttention(6, 3, mode='eval')
  with pytest.raises(tl.base.LayerError, match='got 5 queries and 7 keys'):
    trax_tools.Jitted(
      layer,
      trax_tools.activations_signature(5, 6),
      trax_tools.activations_signature(7, 6),
    )


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'d_model': 10, 'n_heads': 3}, 'd_model 10: expected an even multiple'),
    ({'d_model': 9, 'n_heads': 3}, 'd_model 9: expected an even multiple'),
    ({'d_model': 8, 'n_heads': 0}, 'n_heads: got 0'),
    ({'d_model': 8, 'dropout': 1.0}, 'dropout: got 1.0'),
    ({'d_model': 8, 'mode': 'predict'}, "mode: got 'predict'"),
    ({'d_model': 8, 'mode': 'training'}, "mode: got 'training'"),
  ],
)
def test_names_what_is_wrong(arguments, message):
  with pytest.raises(UserError, match=message):
    trax_hourglass.RelativeAttention(**arguments)
