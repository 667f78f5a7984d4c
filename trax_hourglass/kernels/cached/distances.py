"""Logits by distance across two levels in mode `'predict'`.

A key meets several queries there, or a query several new keys, at as many
distances as the finer level has vectors, so none are cached. Many queries
project the distances anew. A single query is itself projected, to meet
sinusoids: q (W r) = (q W) r takes `n_heads` times the operations, but on arrays
that fit a processor's cache. The projection's bias is left out, since it adds
the same to all logits of a query.
"""

from jax import numpy as jnp

from trax_hourglass.kernels import sinusoids
from trax_hourglass.kernels.row_blocks import product

BLOCK = 256  # Most keys that share one turn of the query.


def projected(kernel, alignment, length):
  """Returns projected distances, `(phases, heads, d_head, length)`.

  The farthest come first: column `length - 1 - j` is the distance of a query to
  the j-th before the last of the keys that it sees.

  Args:
    kernel: `(heads, d_model, d_head)`.
    alignment: `Alignment` of queries and keys.
    length: Number of distances of each phase.
  """
  # Computed for the first group: all groups have the same distances.
  phase = jnp.arange(alignment.key_step)[:, None]
  key = alignment.n_seen(0) - 1 - jnp.arange(length)[::-1]
  distances = alignment.distance(phase, key)
  vectors = sinusoids.at(distances, kernel.shape[1])
  y = product('hsd,pns->phdn', kernel, vectors.astype(kernel.dtype))
  return y.astype(kernel.dtype)


def one_query_logits(located, kernel, query, n_keys, alignment):
  """Returns the logits of one query and the first keys, `(batch, heads, keys)`.

  Args:
    located: The query, `(batch, heads, 1, d_head)`.
    kernel: `(heads, d_model, d_head)`.
    query: Number of the query.
    n_keys: Number of keys.
    alignment: `Alignment` of queries and keys.
  """
  block = min(BLOCK, n_keys)
  first_keys = jnp.arange(0, n_keys, block)
  distances = alignment.distance(query, first_keys)
  turned = sinusoids.turn(product('bhid,hsd->bhis', located, kernel), distances)
  step = alignment.distance(0, 1)
  table = sinusoids.table(block, step, kernel.shape[1])
  dtype = located.dtype
  logits = sum(
    product('bhcs,sn->bhcn', half.astype(dtype), waves.astype(dtype))
    for half, waves in zip(turned, table, strict=True)
  )
  return logits.reshape(*located.shape[:2], -1)[..., :n_keys]
