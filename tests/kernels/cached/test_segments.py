"""Tests of arrays in segments."""

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from trax_hourglass.kernels.cached import segments


@pytest.mark.parametrize(
  ('length', 'multiple', 'expected'),
  [
    (8192, 1, [1024, 1024, 2048, 4096]),
    (7, 1, [7]),
    (1025, 1, [1024, 1]),
    (3000, 3, [1026, 1026, 948]),
  ],
)
def test_sizes_double(length, multiple, expected):
  assert segments.sizes(length, multiple) == expected


def test_writes_into_one_segment_of_each_array():
  empty = tuple(jnp.zeros((1, 1, 3, size)) for size in (2, 2, 3))
  vectors = jnp.array([[[[1.0, 2, 3], [4, 5, 6]]]])  # Two.
  twice = jax.jit(segments.write)((empty, empty), (vectors, 7 * vectors), 5)
  expected = np.zeros((1, 1, 3, 7))
  expected[0, 0, :, 5:] = [[1, 4], [2, 5], [3, 6]]
  for written, factor in zip(twice, (1, 7), strict=True):
    np.testing.assert_array_equal(segments.joined(written), factor * expected)


def test_split_like_undoes_joined():
  parts = tuple(jnp.full((1, 1, 2, size), size) for size in (2, 5))
  assert segments.starts(parts) == [0, 2]
  again = segments.split_like(parts, segments.joined(parts))
  jax.tree.map(np.testing.assert_array_equal, again, parts)
