"""Rows end behind the first stop string, wherever parts meet."""

import numpy as np
import pytest

from trax_hourglass.errors import UserError
from trax_hourglass.generation import stops


def run(texts, stop, chunk):
  tokens = np.array([list(text) for text in texts], np.int32)
  parts = (
    (tokens[:, i : i + chunk], -np.ones((len(texts), chunk), np.float32))
    for i in range(0, tokens.shape[1], chunk)
  )
  found = list(stops.until_stopped(parts, stops.stop_strings(stop)))
  return [np.concatenate(x, axis=1) for x in zip(*found, strict=True)]


@pytest.mark.parametrize('chunk', [1, 2, 3, 6])
@pytest.mark.parametrize(
  ('stop', 'ends'),
  [
    (b'b', [2, 4]),
    (b'ab', [2, 4]),
    ((b'cd', b'ca'), [4, 3]),
    ((b'bcd', b'c', b'abcdef'), [3, 2]),
    ((b'z', b'efefef'), [6, 6]),
    (b'abcd', [4, 6]),
  ],
)
def test_finds_where_each_row_ends(stop, ends, chunk):
  tokens, log_probs = run([b'abcdef', b'fcabcd'], stop, chunk)
  assert (tokens != -1).sum(axis=1).tolist() == ends
  assert (log_probs != 0).sum(axis=1).tolist() == ends
  assert tokens.shape[1] == max(ends)
  assert tokens[0, : ends[0]].tolist() == list(b'abcdef'[: ends[0]])


def test_reads_no_further_than_all_rows_have_ended():
  def parts():
    yield np.array([[5, 6], [6, 5]]), np.zeros((2, 2), np.float32)
    raise AssertionError

  found = list(stops.until_stopped(parts(), (b'\x06',)))
  assert found[0][0].tolist() == [[5, 6], [6, -1]]


@pytest.mark.parametrize('stop', ['a', b'', [b'a', b''], [3]])
def test_names_what_is_wrong(stop):
  with pytest.raises(UserError, match='stop: got .*, expected bytes'):
    stops.stop_strings(stop)
