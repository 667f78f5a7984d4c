"""Random masks for dropout that cost a CPU little.

JAX's own random bits are a loop over whole arrays on a CPU, and a word of 32
bits for each boolean. Here XLA fuses the mask with what uses it, and an element
takes 16 bits.
"""

import math

import jax
from jax import numpy as jnp

from trax_hourglass.runtime import threefry


def keep(rng, dropout, shape):
  """Returns booleans of a shape, True but for a share of `dropout`.

  The share is exact to 1/65,536.

  Args:
    rng: Random key of any kind.
    dropout: Share of elements that are False, in [0, 1).
    shape: Tuple of at least one dimension.
  """
  *rows, n = shape
  row = jax.lax.broadcasted_iota(jnp.uint32, (math.prod(rows), 1), 0)
  return keep_rows(words(rng), dropout, row, n).reshape(shape)


def keep_rows(key, dropout, row, n):
  """Returns booleans, `(..., n)`: the mask of each row, whatever the others.

  Args:
    key: `(2,)` random words.
    dropout: Share of elements that are False, in [0, 1).
    row: Numbers of the rows, `(..., 1)` of type uint32.
    n: Length of a row.
  """
  # Four elements share the two words of a counter.
  n_counters = -(-n // 4)
  column = jnp.arange(n_counters, dtype=jnp.uint32)
  counter = jnp.broadcast_arrays(row, column)
  bits = jax.lax.bitcast_convert_type(
    jnp.concatenate(threefry.traced_threefry(key, counter), axis=-1), jnp.uint16
  )
  bits = bits.reshape(*bits.shape[:-2], 4 * n_counters)[..., :n]
  return bits >= jnp.round(dropout * 2**16).astype(jnp.uint16)


def words(rng, *shape):
  """Returns `(*shape, 2)` random words of a random key of any kind."""
  if not threefry.is_key(rng):
    return jax.random.bits(rng, (*shape, 2), jnp.uint32)
  if not shape:
    return rng
  return jax.random.split(rng, shape)
