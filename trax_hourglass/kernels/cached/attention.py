"""Attention in mode `'predict'`: to what earlier calls left in a cache.

A call appends its keys, values and distances, and its queries attend to all
that is there. Names are those of `relative_attention`: the `key_step` queries
of a group, its `phases`, see the same keys, and those of the next group
`query_step` keys more; one of the two is 1. Within a level, where both are, the
query that sees `n` keys meets key j at the distance numbered n - 1 - j: by how
late it is first needed, which is when it is appended. So distances are kept
with the farthest first, as keys are, and lie beside them but for a shift. Those
across two levels are not kept, see `cached_distances`.
"""

import typing

import jax
from jax import numpy as jnp

from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.kernels.cached import distances as cached_distances
from trax_hourglass.kernels.cached import many_queries, segments
from trax_hourglass.kernels.row_blocks import MASKED, product


class Cache(typing.NamedTuple):
  """What a layer keeps between calls.

  Attributes:
    keys: Segments, `(batch, heads, d_head, size)`.
    values: The same.
    distances: Segments, `(1, heads, d_head, size)`, the farthest first, or an
      empty tuple.
    n_keys: How many keys are there.
    n_queries: How many queries there have been.
  """

  keys: tuple
  values: tuple
  distances: tuple
  n_keys: jax.Array
  n_queries: jax.Array

  @property
  def length(self):
    """The number of keys that there is room for."""
    return sum(segment.shape[-1] for segment in self.keys)


class Steps(typing.NamedTuple):
  """How far a query and a key advance on the finer of their sequences.

  Attributes:
    query: Of two numbers of which one is 1, the query's.
    key: The key's.
    unit: The distance of two neighbours of the finer sequence.
  """

  query: int = 1
  key: int = 1
  unit: int = 1

  @property
  def are_equal(self):
    """Whether queries and keys are those of one level."""
    return self.query == self.key

  def n_keys(self, max_inference_length, total_pooling):
    """Returns how many keys come of so many tokens of the whole model."""
    group = total_pooling * self.query * self.key
    return cache_length(max_inference_length, group) * self.query


def cache_length(max_inference_length, total_pooling):
  """Returns how many vectors come of so many tokens, at most.

  Raises:
    UserError: If either is not a whole number of at least 1.
  """
  check_positive(
    max_inference_length=max_inference_length, total_pooling=total_pooling
  )
  return -(-max_inference_length // total_pooling)


def empty(keys, steps, length, with_distances):
  """Returns an empty `Cache`.

  Args:
    keys: Signature of keys, `(batch, heads, any, d_head)`.
    steps: `Steps`.
    length: How many keys there should be room for.
    with_distances: Whether distances are kept.
  """
  batch, heads, _, d_head = keys.shape
  sizes = segments.sizes(length, steps.query)

  def zeros(n, sizes):
    return tuple(jnp.zeros((n, heads, d_head, s), keys.dtype) for s in sizes)

  return Cache(
    zeros(batch, sizes),
    zeros(batch, sizes),
    zeros(1, sizes[::-1]) if with_distances else (),
    jnp.zeros((), jnp.int32),
    jnp.zeros((), jnp.int32),
  )


class Call(typing.NamedTuple):
  """What a call brings.

  Attributes:
    queries: Those that meet keys, scaled, `(batch, heads, q, d_head)`.
    keys: `(batch, heads, k, d_head)`.
    values: The same.
    located: Those that meet distances, scaled, like `queries`, or `None` where
      logits depend on none.
    distances: `(heads, q, d_head)`, the nearest first, or `None`.
    kernel: Across two levels in place of distances: what projects them,
      `(heads, d_model, d_head)`.
  """

  queries: jax.Array
  keys: jax.Array
  values: jax.Array
  located: jax.Array | None = None
  distances: jax.Array | None = None
  kernel: jax.Array | None = None


def attend(cache, call, steps, excludes_self=False):
  """Returns what the queries find, like them, and the cache with the call.

  Every output of a call that goes beyond the room for keys is NaN.

  Args:
    cache: `Cache`.
    call: `Call`, of any number of queries and keys, or none.
    steps: `Steps`.
    excludes_self: Whether a query sees its own key only if there is no other.

  Raises:
    UserError: If there is no room for so many keys at once.
  """
  n_queries, n_keys = call.queries.shape[2], call.keys.shape[2]
  if max(n_keys, -(-n_queries // steps.key)) > cache.length:
    raise UserError(
      f"mode 'predict': got {n_keys} vectors in a call, expected at most "
      f'{cache.length}; raise max_inference_length'
    )
  if n_queries <= 1 and n_keys <= steps.query:
    cache = _append_one(cache, call)
    attend_rows = _attend_one
  else:
    cache = many_queries.append(cache, call)
    attend_rows = many_queries.attend
  if not n_queries:
    return call.queries, cache
  y = attend_rows(cache, call, steps, excludes_self)
  cache = cache._replace(n_queries=cache.n_queries + n_queries)
  needed = steps.query * ((cache.n_queries - 1) // steps.key + 1)
  y = jnp.where(needed <= cache.length, y, jnp.nan)
  return y.astype(call.values.dtype), cache


def _append_one(cache, call):
  """Appends one group of keys, and the distance of one query."""
  if call.queries.shape[2] and call.distances is not None:
    rows = call.distances[None].astype(call.keys.dtype)
    start = cache.length - 1 - cache.n_queries
    distances = segments.write(cache.distances, rows, start)
    cache = cache._replace(distances=distances)
  if not call.keys.shape[2]:
    return cache
  return cache._replace(
    keys=segments.write(cache.keys, call.keys, cache.n_keys),
    values=segments.write(cache.values, call.values, cache.n_keys),
    n_keys=cache.n_keys + call.keys.shape[2],
  )


def _attend_one(cache, call, steps, excludes_self):
  """Returns what one query finds, `(batch, heads, 1, d_head)`."""
  n_seen = steps.query * (cache.n_queries // steps.key + 1)

  def among(n_segments):
    """Returns a function that attends to the first segments."""

    def attend_to_them(call, cache):
      cache = cache._replace(
        keys=cache.keys[:n_segments],
        values=cache.values[:n_segments],
        distances=cache.distances[-n_segments:],
      )
      return _attend_one_to_all(cache, call, steps, n_seen, excludes_self)

    return attend_to_them

  first_rows = segments.starts(cache.keys)[1:]
  n_more = sum((n_seen > row).astype(jnp.int32) for row in first_rows)
  branches = [among(n + 1) for n in range(len(cache.keys))]
  if len(branches) == 1:
    return branches[0](call, cache)
  return jax.lax.switch(n_more, branches, call, cache)


def _attend_one_to_all(cache, call, steps, n_seen, excludes_self):
  query = call.queries[:, :, 0]
  logits = jnp.concatenate(
    [product('bhd,bhdj->bhj', query, segment) for segment in cache.keys],
    axis=-1,
  )
  if call.distances is not None:
    logits += _by_kept_distance(cache, call, n_seen)
  if call.kernel is not None:
    logits += cached_distances.logits_of_one(
      call.located, call.kernel, cache.n_queries, cache.length, steps
    )
  key = jnp.arange(cache.length)
  if excludes_self:
    logits += jnp.where(key == n_seen - 1, many_queries.SELF, 0)
  weights = jax.nn.softmax(jnp.where(key < n_seen, logits, MASKED))
  weights = segments.split_like(cache.values, weights.astype(query.dtype))
  y = sum(
    product('bhj,bhdj->bhd', w, segment)
    for w, segment in zip(weights, cache.values, strict=True)
  )
  return y[:, :, None]


def _by_kept_distance(cache, call, n_seen):
  """Returns logits by distance, `(batch, heads, keys)`."""
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
