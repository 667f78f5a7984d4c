"""Growing arrays of vectors as segments of fixed shape.

Vectors lie as `(..., d, length)`, the order in which a CPU multiplies them
fastest by a single vector. Each segment has as many positions as all before it,
and only segments that hold something are read: so at most half of the positions
read are empty. A product with part of an array would copy that part first, at
half the speed.
"""

import jax
from jax import numpy as jnp

FIRST = 1024  # Fewest positions of the first segment.


def sizes(length, multiple=1):
  """Returns the sizes of segments that hold `length` positions.

  Args:
    length: A positive multiple of `multiple`.
    multiple: A divisor of every size.
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


def write(arrays, vectors, start):
  """Returns growing arrays with vectors written to each, at one position.

  Args:
    arrays: Tuple of arrays, each as a tuple of `(batch, heads, d, size)`.
    vectors: For each array `(batch, heads, n, d)`; all n must fall into one
      segment.
    start: Position of the first vector.
  """
  columns = [x.swapaxes(-1, -2) for x in vectors]
  written = [
    _write_if_inside(parts, columns, start - first)
    for first, *parts in zip(starts(arrays[0]), *arrays, strict=True)
  ]
  return tuple(zip(*written, strict=True))


def _write_if_inside(parts, columns, start):
  # All of one type, even if JAX uses 64-bit types.
  place = [jnp.asarray(i, jnp.int32) for i in (0, 0, 0, start)]

  def update(_, parts):
    return [
      jax.lax.dynamic_update_slice(part, x, place)
      for part, x in zip(parts, columns, strict=True)
    ]

  # XLA would copy whole segments for a condition, and may fuse a bare update
  # with each product that reads the segment, which copies it for each. A loop's
  # carry is updated in place.
  inside = (start >= 0) & (start < parts[0].shape[-1])
  return jax.lax.fori_loop(0, inside.astype(jnp.int32), update, parts)


def joined(segments):
  """Returns all positions as one array."""
  return jnp.concatenate(segments, axis=-1)


def split_like(segments, x):
  """Returns the parts of an array that belong to the segments, in order."""
  return tuple(jnp.split(x, starts(segments)[1:], axis=-1))
