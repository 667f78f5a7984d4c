"""Attention of one query to a cache.

Segments are read without a copy, as far as they are filled, and updated in
place. Names and shapes are those of `attention`.
"""

import jax
from jax import numpy as jnp

from trax_hourglass.kernels.cached import distances, segments, starts
from trax_hourglass.kernels.cached.many_queries import SELF
from trax_hourglass.kernels.row_blocks import MASKED, product


def append(cache, call):
  """Returns the cache with one group of keys and the distance of one query."""
  if call.queries.shape[2] and call.distances is not None:
    rows = call.distances[None].astype(call.keys.dtype)
    start = cache.length - 1 - cache.n_queries
    (written,) = segments.write((cache.distances,), (rows,), start)
    cache = cache._replace(distances=written)
  if not call.keys.shape[2]:
    return cache
  keys, values = segments.write(
    (cache.keys, cache.values), (call.keys, call.values), cache.n_keys
  )
  return cache._replace(
    keys=keys, values=values, n_keys=cache.n_keys + call.keys.shape[2]
  )


def attend(cache, call, alignment, excludes_self):
  """Returns attention outputs for one query, `(batch, heads, 1, d_head)`."""
  n_seen = alignment.n_seen(alignment.group(cache.n_queries))

  def attend_to_first(n_segments):
    def run(call, cache):
      cache = cache._replace(
        keys=cache.keys[:n_segments],
        values=cache.values[:n_segments],
        distances=cache.distances[-n_segments:],
      )
      return _attend_to_all(cache, call, alignment, n_seen, excludes_self)

    return run

  first_rows = segments.starts(cache.keys)[1:]
  n_more = sum((n_seen > row).astype(jnp.int32) for row in first_rows)
  branches = [attend_to_first(n + 1) for n in range(len(cache.keys))]
  if len(branches) == 1:
    return branches[0](call, cache)
  return jax.lax.switch(n_more, branches, call, cache)


def _attend_to_all(cache, call, alignment, n_seen, excludes_self):
  query = call.queries[:, :, 0]
  logits = jnp.concatenate(
    [product('bhd,bhdj->bhj', query, segment) for segment in cache.keys],
    axis=-1,
  )
  if call.distances is not None:
    logits += _distance_logits(cache, call, n_seen)
  if call.kernel is not None:
    logits += distances.one_query_logits(
      call.located, call.kernel, cache.n_queries, cache.length, alignment
    )
  key = jnp.arange(cache.length)
  if excludes_self:
    logits += jnp.where(key == n_seen - 1, SELF, 0)
  visible = key < n_seen
  first = starts.first_vectors(alignment.tokens_per_key, logits.shape[:2])
  if first is not None:
    visible &= key >= first[..., None]
  weights = jax.nn.softmax(jnp.where(visible, logits, MASKED))
  weights = segments.split_like(cache.values, weights.astype(query.dtype))
  y = sum(
    product('bhj,bhdj->bhd', w, segment)
    for w, segment in zip(weights, cache.values, strict=True)
  )
  return y[:, :, None]


def _distance_logits(cache, call, n_seen):
  """Returns logits from cached distances, `(batch, heads, keys)`."""
  located = call.located[:, :, 0].swapaxes(0, 1)
  logits = jnp.concatenate(
    [
      product('hbd,hdj->hbj', located, segment[0])
      for segment in cache.distances
    ],
    axis=-1,
  ).swapaxes(0, 1)
  logits = jnp.pad(logits, ((0, 0), (0, 0), (0, cache.length)))
  return jax.lax.dynamic_slice_in_dim(
    logits, cache.length - n_seen, cache.length, axis=-1
  )
