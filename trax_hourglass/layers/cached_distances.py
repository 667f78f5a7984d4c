"""Logits by distance across two levels, of which a cache keeps nothing.

A key meets several queries there, or a query several new keys, at as many
distances as the finer level has vectors. So it is queries that are projected,
to sinusoids: q . (W r) = (W' q) . r. That is `n_heads` times the work of a
product with projected distances, on what a processor holds nearby. The bias of
the projection adds as much to all logits of a query: softmax ignores it.
"""

from jax import numpy as jnp

from trax_hourglass.layers import sinusoids
from trax_hourglass.layers.row_blocks import product

BLOCK = 256  # Keys that a query is turned to at once, at most.


def projected(located, kernel):
  """Returns queries for sinusoids, `(batch, heads, ..., d_model)`.

  Args:
    located: `(batch, heads, ..., d_head)`.
    kernel: `(heads, d_model, d_head)`.
  """
  return product('bh...d,hsd->bh...s', located, kernel).astype(located.dtype)


def logits(queries, query, key, n_keys, steps):
  """Returns `(..., n_keys)`, in float32: to each key from a first one on.

  Args:
    queries: `projected`, `(..., d_model)`.
    query: Their numbers, which broadcast to `(...)` with those of keys, and
      with `queries` but for the last axis.
    key: Number of the first key.
    n_keys: How many.
    steps: `cached_attention.Steps`.
  """
  distances = steps.unit * (steps.key * key - steps.query * query)
  turned = sinusoids.turn(queries.astype(jnp.float32), distances)
  nearby = sinusoids.table(n_keys, steps.unit * steps.key, queries.shape[-1])
  dtype = queries.dtype
  return product('...d,dn->...n', turned.astype(dtype), nearby.astype(dtype))


def logits_of_one(located, kernel, query, n_keys, steps):
  """Returns `(batch, heads, n_keys)`: of one query to the first keys.

  Args:
    located: `(batch, heads, 1, d_head)`.
    kernel: `(heads, d_model, d_head)`.
    query: Its number.
    n_keys: How many.
    steps: `cached_attention.Steps`.
  """
  block = min(BLOCK, n_keys)
  first_keys = jnp.arange(0, n_keys, block)
  by_block = logits(projected(located, kernel), query, first_keys, block, steps)
  return by_block.reshape(*located.shape[:2], -1)[..., :n_keys]
