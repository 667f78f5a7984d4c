"""Random masks for dropout that cost little.

JAX draws 32 random bits for each boolean by Threefry, on a CPU in a loop over
whole arrays. Here Threefry draws the two words of a row, the seed and increment
of a SplitMix generator, which makes the elements of the row in a sixth of the
operations. XLA fuses that with the use of a mask.

Source: doi:10.1145/2660193.2660195 (SplitMix), with the finalizer of
MurmurHash3 for 32 bits.
"""

import math

import jax
from jax import numpy as jnp
import numpy as np

from trax_hourglass.runtime import threefry


def keep(rng, dropout, shape):
  """Returns booleans of a shape, a share `dropout` of which is False.

  Args:
    rng: Random key of any kind.
    dropout: Share of False elements, in [0, 1), exact to float32.
    shape: Tuple of at least one dimension.
  """
  *rows, n = shape
  row = jax.lax.broadcasted_iota(jnp.uint32, (math.prod(rows), 1), 0)
  return keep_rows(words(rng), row, dropout, n).reshape(shape)


def keep_rows(key, row, dropout, n):
  """Returns the masks of rows, `(..., n)`, each independent of the others.

  Args:
    key: Random words, `(2,)`.
    row: Numbers of the rows, `(..., 1)` of type uint32.
    dropout: As for `keep`.
    n: Length of a row.
  """
  seed, increment = threefry.traced_threefry(key, (row, jnp.zeros_like(row)))
  column = jnp.arange(n, dtype=jnp.uint32)
  bits = _finalized(seed + (increment | np.uint32(1)) * column)
  return bits >= jnp.round(dropout * 2**32).astype(jnp.uint32)


def _finalized(x):
  """Returns words each of whose bits depends on all bits of a word of `x`."""
  x = (x ^ x >> 16) * np.uint32(0x85EBCA6B)
  x = (x ^ x >> 13) * np.uint32(0xC2B2AE35)
  return x ^ x >> 16


def words(rng, *shape):
  """Returns random words, `(*shape, 2)`, from a random key of any kind."""
  if not threefry.is_key(rng):
    return jax.random.bits(rng, (*shape, 2), jnp.uint32)
  if not shape:
    return rng
  return jax.random.split(rng, shape)
