"""Windows cut out of a text: to train on, and to score."""

from collections.abc import Iterator, Sequence

import numpy as np

from trax_hourglass.data import streams
from trax_hourglass.errors import UserError, check_positive


def random_windows(
  text: np.ndarray, length: int, batch_size: int, seed: int
) -> streams.Stream:
  """Returns endless batches of windows at uniformly random offsets.

  Args:
    text: Array of uint8.
    length: Bytes in a window.
    batch_size: Windows in a batch.
    seed: Seed of the offsets.

  Raises:
    UserError: If a size is not positive or the text is shorter than a window.
  """
  windows = _windows(text, length, batch_size)
  return streams.from_rows(
    windows, streams.Draws(len(windows), batch_size, seed)
  )


def strided_windows(
  text: np.ndarray, length: int, stride: int, batch_size: int, seed: int
) -> streams.Stream:
  """Returns endless batches of windows at every `stride`-th byte, shuffled.

  Each pass over the text has its own order. A batch may span two passes, so no
  window is lost; up to `stride` - 1 bytes at the end are in none. The authors
  use length 2048 at stride 512 for enwik8. Otherwise as `random_windows`.

  Raises:
    UserError: If a size is not positive, the text is shorter than a window, or
      the windows would leave bytes out.
  """
  windows = _windows(text, length, batch_size)
  _check_at_most_length('stride', stride, length)
  windows = windows[::stride]
  return streams.from_rows(
    windows, streams.Shuffled(len(windows), batch_size, seed)
  )


def scoring_windows(
  text: np.ndarray,
  length: int,
  step: int | None,
  batch_size: int,
  edges: Sequence[int] | None = None,
) -> Iterator[streams.Batch]:
  """Returns batches in which each byte of the text has weight 1 exactly once.

  Window `i` ends before byte `(i + 1) * step` and has weight on its last
  `step` bytes, so each of these is predicted from at least `length - step`
  bytes before it, or from all there are. All batches have the same shape: a
  window that would begin before the text begins with it and is padded on the
  right, as is the last one; the last batch is filled up with windows of weight
  0.

  Args:
    text: Array of uint8.
    length: Bytes in a window.
    step: Bytes scored in a window, at most `length`. `None` stands for
      `length`: consecutive chunks without context.
    batch_size: Windows in a batch.
    edges: Where the documents of the text begin, in order, and where the last
      one ends: no window has bytes of two. By default the text is one document.

  Raises:
    UserError: If a size is not positive, the text is empty, or the windows
      would leave bytes out.

  Source:
    Section 3.3 of arXiv:2110.13711: length 4096, step 128.
  """
  check_positive(length=length, batch_size=batch_size)
  step = length if step is None else step
  _check_at_most_length('step', step, length)
  if not len(text):
    raise UserError('text: got 0 bytes, expected at least 1 to score')
  edges = np.array([0, len(text)] if edges is None else edges)
  return _scored(text, edges, length, step, batch_size)


def _scored(tokens, edges, length, step, batch_size):
  n_windows = -(-np.diff(edges) // step)  # Of each document.
  firsts = np.cumsum(n_windows) - n_windows
  for first in range(0, n_windows.sum(), batch_size):
    numbers = np.arange(first, first + batch_size)[:, np.newaxis]
    # Windows that fill up the last batch lie past the last document.
    documents = np.searchsorted(firsts, numbers, side='right') - 1
    begins, stops = edges[documents], edges[documents + 1]
    ends = begins + step * (numbers - firsts[documents] + 1)
    positions = np.maximum(ends - length, begins) + np.arange(length)
    is_given = positions < np.minimum(ends, stops)
    windows = np.where(is_given, tokens[np.where(is_given, positions, 0)], 0)
    windows = windows.astype(np.int32)
    is_scored = is_given & (positions >= ends - step)
    yield windows, windows, is_scored.astype(np.float32)


def check_fits(text: np.ndarray, length: int, name: str) -> None:
  """Raises `UserError` if a text is shorter than a window."""
  if len(text) < length:
    raise UserError(
      f'{name}: got {len(text):,} bytes, expected at least one window of '
      f'{length:,}; give a longer text or shorter windows'
    )


def _windows(text, length, batch_size):
  """Returns a view of all windows, `(len(text) - length + 1, length)`."""
  check_positive(length=length, batch_size=batch_size)
  check_fits(text, length, 'text')
  return np.lib.stride_tricks.sliding_window_view(text, length)


def _check_at_most_length(name, size, length):
  check_positive(**{name: size})
  if size > length:
    raise UserError(
      f'{name}: got {size}, expected at most the length, {length}; the bytes '
      'between windows would be left out'
    )
