"""Tests of LSH attention against a plain loop, and of its causality."""

import jax
import numpy as np
import pytest

from tests import trax_tools
from trax_hourglass.errors import UserError
from trax_hourglass.layers import LSHAttention
from trax_hourglass.layers.attention import lsh

CHUNK_LEN, N_HASHES = 4, 2


def _shares_by_loop(queries, buckets, n_chunks_before):
  """Returns the share of each value in each output, pair by pair."""
  n, d = queries.shape
  norms = np.sqrt(np.mean(queries**2, axis=1, keepdims=True) + 1e-6)
  logits = queries @ (queries / norms).T / np.sqrt(d)
  position = np.arange(N_HASHES * n) % n
  chunks = position[np.argsort(n * buckets + position)].reshape(-1, CHUNK_LEN)
  shares = np.zeros((n, n))
  for c in range(len(chunks)):
    for i in chunks[c]:
      for j in np.ravel([chunks[c - b] for b in range(n_chunks_before + 1)]):
        if j < i:
          shares[i, j] += np.exp(logits[i, j])
  alone = ~shares.any(axis=1)
  shares[alone, alone] = 1  # Such a vector attends to itself.
  return shares / shares.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
  ('length', 'n_chunks_before'),
  [(23, 1), (1, 1), pytest.param(20, 0, marks=pytest.mark.slow)],
)
def test_equals_a_plain_loop(length, n_chunks_before):
  """With unit vectors as values, outputs are the shares of the values.

  The shares of later values are exactly zero, as long as chunks stay the same.
  """
  core = lsh.HashedSelfAttention(
    n_heads=1,
    causal=True,
    chunk_len=CHUNK_LEN,
    n_chunks_before=n_chunks_before,
    n_hashes=N_HASHES,
    mode='eval',
  )
  rng = jax.random.PRNGKey(5)
  queries = np.random.default_rng(0).normal(size=(length, 6)).astype('f')
  padded = np.pad(queries, [(0, -length % CHUNK_LEN), (0, 0)])

  @jax.jit
  def run(queries, values, padded):
    _, hash_key = jax.random.split(jax.random.split(rng, 1)[0])
    shares, _ = core.pure_fn((queries[None], values[None]), (), (), rng)
    return shares[0], core.hash_vectors(padded, hash_key)

  shares, buckets = run(queries, np.eye(length, dtype='f'), padded)
  by_loop = _shares_by_loop(padded, buckets, n_chunks_before)[:length, :length]
  # Trax lowers the logit of a vector with itself by 1e5, which rounds it.
  alone = np.diag(by_loop) == 1
  np.testing.assert_allclose(shares[~alone], by_loop[~alone], atol=1e-5)
  np.testing.assert_allclose(shares[alone], by_loop[alone], atol=1e-2)
  np.testing.assert_array_equal(shares > 0, by_loop > 0)
  assert not np.triu(shares, 1).any()
  # Padding is sorted behind all else.
  buckets = buckets.reshape(N_HASHES, -1)
  assert (buckets[:, length:] > buckets[:, :length].max(1)[:, None]).all()


def test_equal_sequences_of_a_batch_have_equal_outputs():
  x = np.random.default_rng(1).normal(size=(3, 10, 12)).astype(np.float32)
  x[2] = x[0]
  layer = LSHAttention(12, 3, mode='eval', chunk_len=CHUNK_LEN)
  forward = trax_tools.Jitted(layer, trax_tools.activations_signature(10, 12))
  y = forward(forward.random_weights(), x)
  np.testing.assert_array_equal(y[0], y[2])
  assert np.abs(y[0] - y[1]).max() > 0.1


@pytest.mark.parametrize('make_key', [jax.random.PRNGKey, jax.random.key])
def test_takes_keys_of_any_kind(make_key):
  layer = LSHAttention(12, 3, dropout=0.1, chunk_len=CHUNK_LEN)
  signature = trax_tools.activations_signature(10, 12, batch=2)
  weights, state = layer.weights_and_state_signature(signature)
  y, _ = jax.eval_shape(layer.pure_fn, signature, weights, state, make_key(0))
  assert y.shape == (2, 10, 12)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'chunk_len': 0}, 'chunk_len: got 0'),
    ({'n_hashes': 0.5}, 'n_hashes: got 0.5'),
    ({'n_chunks_before': -1}, 'n_chunks_before: got -1'),
    ({'n_buckets': 3}, 'n_buckets: got 3, expected an even number'),
    ({'n_buckets': [4, 3]}, r'n_buckets: got \[4, 3\]'),
    ({'n_buckets': '4'}, "n_buckets: got '4'"),
    ({'n_heads': 3}, 'd_model 8: expected an even number that n_heads 3'),
    ({'dropout': -1}, 'dropout: got -1'),
    ({'mode': 'test'}, "mode: got 'test'"),
  ],
)
def test_names_what_is_wrong(arguments, message):
  with pytest.raises(UserError, match=message):
    LSHAttention(8, **arguments)
