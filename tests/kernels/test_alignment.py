"""Distances and visible keys, against tables written by hand."""

import numpy as np
import pytest

from trax_hourglass.errors import UserError
from trax_hourglass.kernels.alignment import Alignment, align

# (queries, keys, total_pooling) -> distances of each query to each key, with a
# None for one that it does not see.
TABLES = {
  'within a level': (
    (3, 3, 2),
    [[0, None, None], [-2, 0, None], [-4, -2, 0]],
  ),
  'shortening': (
    (2, 6, 5),
    [[0, 5, 10, None, None, None], [-15, -10, -5, 0, 5, 10]],
  ),
  # In units of the finer sequence, whatever its total shorten factor.
  'upsampling': (
    (6, 2, 5),
    [[0, None], [-1, None], [-2, None], [-3, 0], [-4, -1], [-5, -2]],
  ),
  'one query of one key': ((1, 1, 7), [[0]]),
}


@pytest.mark.parametrize('name', TABLES)
def test_pairs(name):
  (n_queries, n_keys, total_pooling), table = TABLES[name]
  alignment = align(n_queries, n_keys, total_pooling)
  query, key = np.indices((n_queries, n_keys))
  expected = np.array(table, float)  # NaN for None.
  visible = ~np.isnan(expected)
  np.testing.assert_array_equal(alignment.sees(query, key), visible)
  np.testing.assert_array_equal(
    alignment.n_seen(alignment.group(np.arange(n_queries))), visible.sum(axis=1)
  )
  distance = alignment.distance(query, key)
  np.testing.assert_array_equal(distance[visible], expected[visible])
  distances = alignment.distances(n_queries)
  np.testing.assert_array_equal(distances, np.unique(expected[visible]))
  index = alignment.index(query, key, n_queries)
  np.testing.assert_array_equal(distances[index[visible]], distance[visible])


@pytest.mark.parametrize(
  ('steps', 'expected'), [((1, 1, 3), 4), ((2, 1, 3), 4), ((1, 2, 3), 2)]
)
def test_cache_holds_the_keys_of_all_tokens(steps, expected):
  """Ten tokens: 4 vectors of 3 tokens, and 2 of 6 on the coarser side."""
  assert Alignment(*steps).cache_length(10) == expected


def test_within_level():
  assert Alignment().is_within_level
  assert not align(2, 4).is_within_level
  assert not align(4, 2).is_within_level


def test_lengths_that_do_not_divide_are_named():
  with pytest.raises(UserError, match='got 5 queries and 7 keys'):
    align(5, 7)
