"""Causal attention of each query to a window of the latest keys.

A sequence is cut into chunks of a window's length: the window of a query lies
in its own chunk and the one before, and no other keys are computed.
"""

import jax
from jax import numpy as jnp

from trax_hourglass.kernels import random_masks
from trax_hourglass.kernels.row_blocks import MASKED


def local_attention(
  queries, keys, values, window, dropout=0.0, rng=None, first=None
):
  """Returns attention of each query to its last `window` keys, like `queries`.

  Queries, keys and values are `(..., length, d)`, and `first` is the first key
  that each query may see, `(..., length)`, by default 0; other arguments are
  those of `attend`.
  """
  if not queries.size:  # No sequences, or none but empty ones.
    return queries
  *batch, length, d = queries.shape
  chunk = min(window, length)
  queries, keys, values = (_chunks(x, chunk) for x in (queries, keys, values))
  first = 0 if first is None else _chunks(first[..., None], chunk)
  visible = _visible(queries.shape[-3], chunk, window, first)
  y = attend(
    queries, _with_previous(keys), _with_previous(values), visible, dropout, rng
  )
  return y.reshape(*batch, -1, d)[..., :length, :]


def attend(queries, keys, values, visible, dropout=0.0, rng=None):
  """Returns softmax(Q K^T / sqrt(d)) V over visible keys, `(..., q, d)`.

  Args:
    queries: `(..., q, d)`.
    keys: `(..., k, d)`.
    values: `(..., k, d)`.
    visible: Booleans that broadcast to `(..., q, k)`: which keys a query sees.
    dropout: Share of the attention weights dropped.
    rng: Random key, needed where `dropout` is above 0.
  """
  logits = jnp.einsum(
    '...id,...jd->...ij', queries, keys, preferred_element_type=jnp.float32
  )
  logits = logits / jnp.sqrt(queries.shape[-1])
  weights = jax.nn.softmax(jnp.where(visible, logits, MASKED))
  if dropout:
    keep = random_masks.keep(rng, dropout, weights.shape)
    weights = jnp.where(keep, weights / (1 - dropout), 0)
  return jnp.einsum('...ij,...jd->...id', weights.astype(values.dtype), values)


def empty(keys, window):
  """Returns the empty cache of `attend_to_cache`.

  A cache is the last keys and values, `(n, window, d)`, where position p lies
  at p % window, and the number of positions so far.

  Args:
    keys: Signature of the keys of a call, `(n, length, d)`.
    window: Number of keys that a query sees.
  """
  n, _, d = keys.shape
  zeros = jnp.zeros((n, window, d), keys.dtype)
  return zeros, zeros, jnp.zeros((), jnp.int32)


def attend_to_cache(cache, queries, keys, values, first=None):
  """Returns outputs of the vectors of a call, `(n, length, d)`, and a cache.

  `first` is the position of each sequence's first vector, `(n,)`; by default 0.
  """
  if not queries.size:
    return queries, cache
  run = _one_query if queries.shape[1] == 1 else _many_queries
  return run(cache, queries, keys, values, first)


def _one_query(cache, query, key, value, first):
  keys, values, position = cache
  window = keys.shape[1]
  slot = position % window
  keys = jax.lax.dynamic_update_slice_in_dim(keys, key, slot, axis=1)
  values = jax.lax.dynamic_update_slice_in_dim(values, value, slot, axis=1)
  # All filled slots are in the window, and softmax needs no order.
  visible = jnp.arange(window) <= position
  if first is not None:
    age = (position - jnp.arange(window)) % window
    visible &= position - age >= first[:, None, None]
  y = attend(query, keys, values, visible)
  return y, (keys, values, position + 1)


def _many_queries(cache, queries, keys, values, first):
  *old, position = cache
  window, length = old[0].shape[1], queries.shape[1]
  # The cached window in order, then the new: position p lies at
  # p - position + window.
  keys, values = (
    jnp.concatenate([jnp.roll(x, -(position % window), axis=1), new], axis=1)
    for x, new in zip(old, (keys, values), strict=True)
  )
  end = position + length
  cache = (
    *(jnp.roll(x[:, -window:], end % window, axis=1) for x in (keys, values)),
    end,
  )
  queries = _chunks(queries, window)
  keys, values = (
    _with_previous(_chunks(x, window))[:, 1:] for x in (keys, values)
  )
  first = 0 if first is None else first[:, None, None, None]
  visible = _visible(queries.shape[-3], window, window, first - position)
  y = attend(queries, keys, values, visible)
  return y.reshape(len(y), -1, y.shape[-1])[:, :length], cache


def _chunks(x, chunk):
  """Returns `(..., n_chunks, chunk, d)`, with zeros at the end."""
  *batch, length, d = x.shape
  widths = [(0, 0)] * len(batch) + [(0, -length % chunk), (0, 0)]
  return jnp.pad(x, widths).reshape(*batch, -1, chunk, d)


def _with_previous(x):
  """Returns `(..., n_chunks, 2 * chunk, d)`: the chunk before, then its own."""
  return jnp.concatenate([jnp.roll(x, 1, axis=-3), x], axis=-2)


def _visible(n_chunks, chunk, window, first=0):
  """Returns which keys of `_with_previous` each query of a chunk sees.

  Args:
    n_chunks: Number of chunks.
    chunk: Vectors in a chunk.
    window: Number of keys that a query sees.
    first: Position of the first key, relative to that of the first query; or
      of that which each query sees, `(..., n_chunks, chunk, 1)`.
  """
  start = chunk * jnp.arange(n_chunks)[:, None, None]
  query = start + jnp.arange(chunk)[:, None]
  key = start + jnp.arange(-chunk, chunk)
  return (key >= first) & (key <= query) & (key > query - window)
