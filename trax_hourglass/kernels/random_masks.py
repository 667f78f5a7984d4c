"""Random masks for dropout that cost a CPU little.

On a CPU, JAX draws random bits in a loop over whole arrays, 32 bits for each
boolean. XLA fuses the masks made here with their use, and each element takes
16 bits.
"""

import math

import jax
from jax import numpy as jnp

from trax_hourglass.runtime import threefry


def keep(rng, dropout, shape):
  """Returns booleans of a shape, of which a share of `dropout` is False.

  Args:
    rng: Random key of any kind.
    dropout: Share of False elements, in [0, 1), exact to 1/65,536.
    shape: Tuple of at least one dimension.
  """
  *rows, n = shape
  row = jax.lax.broadcasted_iota(jnp.uint32, (math.prod(rows), 1), 0)
  return keep_rows(words(rng), dropout, row, n).reshape(shape)


def keep_rows(key, dropout, row, n):
  """Returns the masks of rows, `(..., n)`, each independent of the others.

  Args:
    key: Random words, `(2,)`.
    dropout: As for `keep`.
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
  """Returns random words, `(*shape, 2)`, from a random key of any kind."""
  if not threefry.is_key(rng):
    return jax.random.bits(rng, (*shape, 2), jnp.uint32)
  if not shape:
    return rng
  return jax.random.split(rng, shape)
