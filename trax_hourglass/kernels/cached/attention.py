"""Attention in mode `'predict'`, to keys and values cached by earlier calls.

A call appends its keys, values and distances, and its queries attend to the
whole cache. `alignment` says which keys a query sees, at which distance; the
queries of a group are its `phases`. Within a level, the query that sees `n`
keys meets key j at distance number n - 1 - j. Distances are numbered in the
order in which they are first needed, and so appended. They are kept farthest
first, so that, up to a shift, they line up with the keys. Distances across two
levels are not kept, see `distances`.
"""

import typing

import jax
from jax import numpy as jnp

from trax_hourglass.errors import UserError
from trax_hourglass.kernels.cached import many_queries, one_query, segments


class Cache(typing.NamedTuple):
  """The state that a layer keeps between calls, with arrays in `segments`."""

  keys: tuple  # (batch, heads, d_head, size).
  values: tuple  # (batch, heads, d_head, size).
  distances: tuple  # (1, heads, d_head, size), the farthest first, or empty.
  n_keys: jax.Array  # Number of keys in the cache.
  n_queries: jax.Array  # Number of queries so far.

  @property
  def length(self):
    """The number of keys that there is room for."""
    return sum(segment.shape[-1] for segment in self.keys)


def empty(keys, alignment, length, with_distances):
  """Returns an empty `Cache` for `length` keys.

  Args:
    keys: Signature of the keys of a call, `(batch, heads, k, d_head)`.
    alignment: `Alignment` of queries and keys.
    length: Number of keys.
    with_distances: Whether the cache keeps distances too.
  """
  batch, heads, _, d_head = keys.shape
  sizes = segments.sizes(length, alignment.query_step)

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
  """The inputs of a call.

  Logits depend on distance where there are `located` queries. Within a level,
  `distances` are those of the queries to the first key, projected, the nearest
  first; across two levels, `kernel` projects distances.
  """

  queries: jax.Array  # Scaled, to meet keys, (batch, heads, q, d_head).
  keys: jax.Array  # (batch, heads, k, d_head).
  values: jax.Array  # (batch, heads, k, d_head).
  located: jax.Array | None = None  # Scaled queries that meet distances.
  distances: jax.Array | None = None  # (heads, q, d_head).
  kernel: jax.Array | None = None  # (heads, d_model, d_head).


def attend(cache, call, alignment, excludes_self=False):
  """Returns attention outputs, shaped like the queries, and the new cache.

  All outputs of a call that exceeds the cache's length are NaN.

  Args:
    cache: `Cache`.
    call: `Call`, of any number of queries and of keys, 0 included.
    alignment: `Alignment` of queries and keys.
    excludes_self: Whether a query sees its own key only if there is no other.

  Raises:
    UserError: If there is no room for so many keys at once.
  """
  n_queries, n_keys = call.queries.shape[2], call.keys.shape[2]
  if max(n_keys, -(-n_queries // alignment.key_step)) > cache.length:
    raise UserError(
      f"mode 'predict': got {n_keys} vectors in a call, expected at most "
      f'{cache.length}; raise max_inference_length'
    )
  if n_queries <= 1 and n_keys <= alignment.query_step:
    run = one_query
  else:
    run = many_queries
  cache = run.append(cache, call)
  if not n_queries:
    return call.queries, cache
  y = run.attend(cache, call, alignment, excludes_self)
  cache = cache._replace(n_queries=cache.n_queries + n_queries)
  needed = alignment.n_seen(alignment.group(cache.n_queries - 1))
  y = jnp.where(needed <= cache.length, y, jnp.nan)
  return y.astype(call.values.dtype), cache
