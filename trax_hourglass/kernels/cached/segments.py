"""Arrays of fixed shape that fill up, and are read as far as they are filled.

An array of vectors lies as `(..., d, length)`, which is the order in which a
CPU multiplies it fastest by a single vector, in segments: some positions, then
as many as all before, again and again. On a CPU a product with a part of an
array would copy that part first, at half the speed; with whole segments none is
copied, and at most half of the positions that are read are empty.
"""

import jax
from jax import numpy as jnp

FIRST = 1024  # Positions of the first segment, at least.


def sizes(length, multiple=1):
  """Returns the sizes of segments that hold `length` positions.

  Args:
    length: A multiple of `multiple`, positive.
    multiple: What divides every size.
  """
  found, first = [], -(-FIRST // multiple) * multiple
  while sum(found) < length:
    found.append(min(max(first, sum(found)), length - sum(found)))
  return found


def starts(segments):
  """Returns the first position of each segment."""
  found = [0]
  for segment in segments[:-1]:
    found.append(found[-1] + segment.shape[-1])
  return found


def write(segments, vectors, start, phase=0):
  """Returns segments with vectors, all of them within one segment.

  Args:
    segments: Tuple of `(phases, heads, d, size)`.
    vectors: `(1 or phases, heads, n, d)`.
    start: Where the first vector goes, known only when it runs.
    phase: Where the first of the leading axis goes.
  """
  columns = vectors.swapaxes(-1, -2)
  return tuple(
    _write_if_within(segment, columns, start - first, phase)
    for segment, first in zip(segments, starts(segments), strict=True)
  )


def _write_if_within(segment, columns, start, phase):
  """Returns a segment with columns, if they start in it."""
  # All of one type, even if JAX uses 64-bit types.
  place = [jnp.asarray(i, jnp.int32) for i in (phase, 0, 0, start)]

  def update(_, segment):
    return jax.lax.dynamic_update_slice(segment, columns, place)

  # Neither a condition, for which XLA would copy the whole segment, nor bare,
  # where it may fuse the update with each product that reads the segment, and
  # copy it for each. What a loop carries is changed in place.
  inside = (start >= 0) & (start < segment.shape[-1])
  return jax.lax.fori_loop(0, inside.astype(jnp.int32), update, segment)


def joined(segments):
  """Returns all positions as one array."""
  return jnp.concatenate(segments, axis=-1)


def split_like(segments, x):
  """Returns the parts of an array that belong to the segments, in order."""
  return tuple(jnp.split(x, starts(segments)[1:], axis=-1))
