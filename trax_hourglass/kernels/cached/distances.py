"""Distances across two levels in mode `'predict'`, of which none are kept.

A key meets several queries there, or a query several new keys, at as many
distances as the finer level has vectors. For many queries those are projected
anew. A single query is projected itself, to meet sinusoids: q (W r) = (q W) r
is `n_heads` times the work, but on what a processor holds nearby. The bias of
the projection is left out: it adds as much to all logits of a query.
"""

from jax import numpy as jnp

from trax_hourglass.kernels import sinusoids
from trax_hourglass.kernels.row_blocks import product

BLOCK = 256  # Keys to which a query is turned at once, at most.


def projected(kernel, alignment, length):
  """Returns `(phases, heads, d_head, length)`, the farthest first.

  Column `length - 1 - j` is the distance of a query to the j-th before the last
  of the keys that it sees.

  Args:
    kernel: `(heads, d_model, d_head)`.
    alignment: `Alignment`.
    length: How many for each phase.
  """
  # Those of the first group, and of any other.
  phase = jnp.arange(alignment.key_step)[:, None]
  key = alignment.n_seen(0) - 1 - jnp.arange(length)[::-1]
  distances = alignment.distance(phase, key)
  vectors = sinusoids.at(distances, kernel.shape[1])
  y = product('hsd,pns->phdn', kernel, vectors.astype(kernel.dtype))
  return y.astype(kernel.dtype)


def logits_of_one(located, kernel, query, n_keys, alignment):
  """Returns `(batch, heads, n_keys)`: of one query to the first keys.

  Args:
    located: `(batch, heads, 1, d_head)`.
    kernel: `(heads, d_model, d_head)`.
    query: Its number.
    n_keys: How many.
    alignment: `Alignment`.
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
