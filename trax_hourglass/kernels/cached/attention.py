"""Attention in mode `'predict'`: to what earlier calls left in a cache.

A call appends its keys, values and distances, and its queries attend to all
that is there. Which ones, and how far away, says `alignment`; the queries of a
group are its `phases`. Within a level the query that sees `n` keys meets key j
at the distance numbered n - 1 - j: by how late it is first needed, which is
when it is appended. So distances are kept with the farthest first, as keys are,
and lie beside them but for a shift. Those across two levels are not kept, see
`distances`.
"""

import typing

import jax
from jax import numpy as jnp

from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.kernels.cached import many_queries, one_query, segments


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


def cache_length(max_inference_length, total_pooling, query_step=1, key_step=1):
  """Returns how many keys come of so many tokens of the whole model, at most.

  Args:
    max_inference_length: Number of tokens.
    total_pooling: As for `Alignment`, like the two steps.
    query_step: Positions from one query to the next.
    key_step: Positions from one key to the next.

  Raises:
    UserError: If either is not a whole number of at least 1.
  """
  check_positive(
    max_inference_length=max_inference_length, total_pooling=total_pooling
  )
  group = total_pooling * query_step * key_step
  return -(-max_inference_length // group) * query_step


def empty(keys, alignment, length, with_distances):
  """Returns an empty `Cache`.

  Args:
    keys: Signature of keys, `(batch, heads, any, d_head)`.
    alignment: `Alignment`.
    length: How many keys there should be room for.
    with_distances: Whether distances are kept.
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


def attend(cache, call, alignment, excludes_self=False):
  """Returns what the queries find, like them, and the cache with the call.

  Every output of a call that goes beyond the room for keys is NaN.

  Args:
    cache: `Cache`.
    call: `Call`, of any number of queries and keys, or none.
    alignment: `Alignment`.
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
