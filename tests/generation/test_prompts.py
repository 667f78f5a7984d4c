"""Prompts side by side, against literal arrays."""

import numpy as np
import pytest

from trax_hourglass.errors import UserError
from trax_hourglass.generation import prompts

U = prompts.UNKNOWN
P = [np.array(x, np.int32) for x in ([1, 2, 3, 4, 5], [6], [], [7, 8, 9])]


@pytest.mark.parametrize(
  ('given', 'expected'),
  [
    (None, [[]]),
    (b'', [[]]),
    (b'ab', [[97, 98]]),
    ([1, 2], [[1, 2]]),
    (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
    ([b'ab', b'cd'], [[97, 98], [99, 100]]),
    ([b'ab', [3], np.zeros(0)], [[97, 98], [3], []]),
  ],
)
def test_rows(given, expected):
  rows = prompts.rows(given)
  assert [row.tolist() for row in rows] == expected
  assert all(row.dtype == np.int32 for row in rows)


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ([b'ab', [0.5]], r'prompt 1: got float64 \(1,\), expected bytes or whole'),
    ([b'ab', 3], r'prompt 1: got int64 \(\)'),
    ([[1], [[2], [3]]], r'prompt 1: got int64 \(2, 1\)'),
    ('ab', r'prompt: got <U2 \(\)'),
    (np.zeros((0, 5), int), r'prompt: got \(0, 5\), no prompts, expected at l'),
  ],
)
def test_names_what_is_wrong(given, message):
  with pytest.raises(UserError, match=message):
    prompts.rows(given)


def test_short_prompts_start_together():
  rows = prompts.side_by_side(P, one_pass=6, group=3, most=None)
  np.testing.assert_array_equal(
    rows.tokens,
    [
      [0, 1, 2, 3, 4, 5],
      [0, 6, U, U, U, U],
      [0, U, U, U, U, U],
      [0, 7, 8, 9, U, U],
    ],
  )
  assert (rows.n_read, rows.starts) == (0, None)
  np.testing.assert_array_equal(rows.lead, [5, 1, 0, 3])


def test_longer_ones_end_together():
  """Within a group, which the third and the last start with."""
  rows = prompts.side_by_side(P, one_pass=4, group=3, most=None)
  np.testing.assert_array_equal(rows.starts, [3, 6, 6, 3])
  np.testing.assert_array_equal(
    rows.tokens,
    [
      [0, 0, 0, 0, 1, 2, 3, 4, 5],
      [0, 0, 0, 0, 0, 0, 0, 6, U],
      [0, 0, 0, 0, 0, 0, 0, U, U],
      [0, 0, 0, 0, 7, 8, 9, U, U],
    ],
  )
  assert rows.n_read == 6
  np.testing.assert_array_equal(rows.lead, [2, 1, 0, 0])


def test_where_there_is_less_room_and_where_none_may_start_later():
  rows = prompts.side_by_side(P, one_pass=4, group=3, most=6)
  np.testing.assert_array_equal(rows.starts, [0, 3, 6, 3])
  assert rows.n_read == 4
  np.testing.assert_array_equal(rows.lead, [1, 0, 2, 2])
  rows = prompts.side_by_side(P, one_pass=2, group=None, most=6)
  assert (rows.n_read, rows.starts) == (0, None)
  long = [np.arange(n, dtype=np.int32) for n in (7, 5)]
  rows = prompts.side_by_side(long, one_pass=2, group=None, most=None)
  assert (rows.n_read, rows.starts) == (4, None)
  np.testing.assert_array_equal(rows.lead, [3, 1])


def test_equal_ones_are_read_whole():
  rows = prompts.side_by_side(P[:1] * 2, one_pass=5, group=3, most=None)
  assert (rows.n_read, rows.starts) == (5, None)
  np.testing.assert_array_equal(rows.tokens, [[0, 1, 2, 3, 4, 5]] * 2)
  np.testing.assert_array_equal(rows.lead, [0, 0])
