"""Windows cut out of a text, to train on and to score."""

import itertools

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from trax_hourglass.data import windows
from trax_hourglass.errors import UserError


def _text(n):
  """Returns the bytes 1, 2, ..., n."""
  return np.arange(1, n + 1, dtype=np.uint8)


def test_random_windows_are_consecutive_bytes():
  text = _text(11)
  stream = windows.random_windows(text, length=7, batch_size=3, seed=0)
  for inputs, targets, weights in itertools.islice(stream, 5):
    assert (inputs.shape, inputs.dtype) == ((3, 7), np.int32)
    assert (targets.shape, targets.dtype) == ((3, 7), np.int32)
    assert (weights.shape, weights.dtype) == ((3, 7), np.float32)
    np.testing.assert_array_equal(inputs, inputs[:, :1] + np.arange(7))
    np.testing.assert_array_equal(targets, inputs)
    np.testing.assert_array_equal(weights, 1)


def test_random_offsets_are_uniform_over_all_positions():
  stream = windows.random_windows(_text(11), length=7, batch_size=500, seed=0)
  starts, counts = np.unique(next(stream)[0][:, 0], return_counts=True)
  np.testing.assert_array_equal(starts, [1, 2, 3, 4, 5])
  assert counts.min() > 70


def test_each_pass_has_each_strided_window_once():
  """5 windows, batches of 3: a pass ends inside every other batch."""
  stream = windows.strided_windows(
    _text(17), length=5, stride=3, batch_size=3, seed=0
  )
  batches = list(itertools.islice(stream, 10))
  drawn = np.concatenate([inputs for inputs, _, _ in batches])
  np.testing.assert_array_equal(drawn, drawn[:, :1] + np.arange(5))
  passes = drawn[:, 0].reshape(6, 5)
  np.testing.assert_array_equal(
    np.sort(passes), np.tile([1, 4, 7, 10, 13], (6, 1))
  )
  assert len({tuple(order) for order in passes}) > 1
  for inputs, targets, weights in batches:
    np.testing.assert_array_equal(targets, inputs)
    np.testing.assert_array_equal(weights, np.ones((3, 5)))


def test_strided_windows_when_a_batch_spans_several_passes():
  stream = windows.strided_windows(
    _text(5), length=3, stride=2, batch_size=7, seed=0
  )
  starts = np.concatenate([next(stream)[0][:, 0] for _ in range(2)])
  np.testing.assert_array_equal(
    np.sort(starts.reshape(7, 2)), np.tile([1, 3], (7, 1))
  )


@pytest.mark.parametrize(
  'stream',
  [
    lambda seed: windows.random_windows(_text(97), 7, 3, seed),
    lambda seed: windows.strided_windows(_text(97), 7, 2, 3, seed),
  ],
)
def test_training_streams_follow_from_the_seed(stream):
  def take(seed):
    return np.stack([x for x, _, _ in itertools.islice(stream(seed), 23)])

  np.testing.assert_array_equal(take(5), take(5))
  assert np.any(take(5) != take(6))


def test_scoring_windows_in_chunks():
  (inputs, targets, weights), (last_inputs, _, last_weights) = (
    windows.scoring_windows(_text(7), length=3, step=3, batch_size=2)
  )
  np.testing.assert_array_equal(inputs, [[1, 2, 3], [4, 5, 6]])
  np.testing.assert_array_equal(targets, inputs)
  np.testing.assert_array_equal(weights, [[1, 1, 1], [1, 1, 1]])
  np.testing.assert_array_equal(last_inputs[0], [7, 0, 0])
  np.testing.assert_array_equal(last_weights, [[1, 0, 0], [0, 0, 0]])


def test_scoring_windows_with_context():
  """Windows of 5 bytes, 2 scored; the first two have less context."""
  ((inputs, targets, weights),) = windows.scoring_windows(
    _text(7), length=5, step=2, batch_size=4
  )
  np.testing.assert_array_equal(
    inputs,
    [[1, 2, 0, 0, 0], [1, 2, 3, 4, 0], [2, 3, 4, 5, 6], [4, 5, 6, 7, 0]],
  )
  np.testing.assert_array_equal(targets, inputs)
  np.testing.assert_array_equal(
    weights,
    [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1], [0, 0, 0, 1, 0]],
  )


def test_scoring_windows_of_documents():
  text, edges = np.arange(1, 8, dtype=np.uint8), [0, 3, 7]
  batches = windows.scoring_windows(text, 3, 2, batch_size=3, edges=edges)
  inputs, _, weights = map(np.concatenate, zip(*batches, strict=True))
  assert (inputs * weights).tolist() == [
    [1, 2, 0],
    [0, 3, 0],
    [4, 5, 0],
    [0, 6, 7],
    [0, 0, 0],
    [0, 0, 0],
  ]
  assert inputs[1].tolist() == [2, 3, 0]
  assert inputs[3].tolist() == [5, 6, 7]


@hypothesis.given(
  text=st.binary(min_size=1, max_size=60),
  length=st.integers(1, 23),
  data=st.data(),
)
@hypothesis.settings(deadline=None, derandomize=True)
def test_scoring_windows_score_every_byte_once(text, length, data):
  step = data.draw(st.integers(1, length))
  batch_size = data.draw(st.integers(1, 7))
  batches = list(
    windows.scoring_windows(
      np.frombuffer(text, np.uint8), length, step, batch_size
    )
  )
  scored = b''
  for inputs, targets, weights in batches:
    assert inputs.shape == targets.shape == weights.shape
    assert inputs.shape == (batch_size, length)
    assert np.all((weights == 0) | (weights == 1))
    for window, weight in zip(inputs, weights, strict=True):
      (positions,) = np.nonzero(weight)
      if not len(positions):
        continue
      context = len(scored) - positions[0]
      assert positions[0] == min(len(scored), length - step)
      end = positions[-1] + 1
      assert window[:end].astype(np.uint8).tobytes() == text[context:][:end]
      assert not np.any(window[end:])
      scored += window[positions].astype(np.uint8).tobytes()
    assert np.any(weights)
  assert scored == text


def _stream(function, **changes):
  sizes = {'length': 5, 'batch_size': 3} | changes
  return lambda: function(_text(11), **sizes)


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (
      _stream(windows.random_windows, length=12, seed=0),
      'text: got 11 bytes, expected at least one window of 12',
    ),
    (
      _stream(windows.random_windows, batch_size=0, seed=0),
      'batch_size: got 0, expected a whole number of at least 1',
    ),
    (
      _stream(windows.random_windows, length=2.5, seed=0),
      'length: got 2.5, expected a whole number',
    ),
    (
      _stream(windows.strided_windows, length=12, stride=2, seed=0),
      'text: got 11 bytes',
    ),
    (
      _stream(windows.strided_windows, stride=0, seed=0),
      'stride: got 0, expected',
    ),
    (
      _stream(windows.strided_windows, stride=6, seed=0),
      'stride: got 6, expected at most the length, 5',
    ),
    (
      _stream(windows.scoring_windows, step=6),
      'step: got 6, expected at most the length, 5',
    ),
    (_stream(windows.scoring_windows, step=0), 'step: got 0, expected'),
    (
      _stream(windows.scoring_windows, step=5, length=-5),
      'length: got -5, expected',
    ),
    (
      lambda: windows.scoring_windows(_text(0), 5, 2, 3),
      'text: got 0 bytes, expected at least 1',
    ),
  ],
)
def test_sizes_are_checked_before_the_first_batch(make, message):
  with pytest.raises(UserError, match=r'^' + message) as error:
    make()
  assert '\n' not in str(error.value)
