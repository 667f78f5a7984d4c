"""Conditionals, into whose branches XLA does not look on a CPU.

Outside them it computes a cheap array again in each kernel that uses it, and
merges a computation that is repeated on purpose with the first one.
"""

import jax
from jax import numpy as jnp


def once(f, *arrays):
  """Returns `f(*arrays)`, an array that a CPU computes once and keeps."""

  def zeros(*arrays):
    there = jax.eval_shape(f, *arrays)
    return jnp.zeros(there.shape, there.dtype)

  def in_branch(*arrays):
    return jax.lax.cond(true(arrays), f, zeros, *arrays)

  return jax.lax.platform_dependent(*arrays, cpu=in_branch, default=f)


def true(arrays):
  """Returns True, as a value that XLA cannot know before it has the arrays."""
  number = sum(
    x.ravel()[0].astype(jnp.float32) for x in jax.tree.leaves(arrays) if x.size
  )
  return jnp.minimum(jnp.isnan(number).astype(jnp.int32), 0) == 0
