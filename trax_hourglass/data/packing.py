"""Windows packed with documents, for training and evaluation."""

import functools

import numpy as np
from trax.data import inputs as trax_inputs

from trax_hourglass.data import streams
from trax_hourglass.data.documents import Documents
from trax_hourglass.distribution import hosts
from trax_hourglass.errors import UserError, check_positive


def document_inputs(
  documents: Documents,
  length: int,
  batch_size: int,
  eval_batch_size: int | None = None,
  eval_batches: int | None = None,
  total_shorten_factor: int = 1,
  seed: int = 0,
  segments: bool = False,
) -> trax_inputs.Inputs:
  """Returns the `inputs` of Trax's `train`, windows packed with documents.

  Documents follow one another, padded with zeros of weight 0 so that each
  starts at a multiple of the total shorten factor, and are cut at the ends of
  windows. Each pass over the train split has its own order. Each evaluation has
  the same batches of the validation split.

  Args:
    documents: The documents with their splits.
    length: Bytes in a window, a multiple of the total shorten factor.
    batch_size: Windows in a batch, over all devices.
    eval_batch_size: Windows in an evaluation batch, `batch_size` by default.
    eval_batches: Most batches in an evaluation; by default all.
    total_shorten_factor: That of the model; the cost of padding is printed.
    seed: Seed of the order.
    segments: Whether batches are (inputs, segments, targets, loss weights), for
      `HourglassLM` with `documents=True`, which keeps documents apart. Segments
      are int32: in each window documents are numbered from 1 on, and padding is
      0.

  Raises:
    UserError: If an argument is out of range, a split is empty, or a batch
      cannot be shared out evenly among the devices.
  """
  if not isinstance(documents, Documents):
    raise UserError(
      f'documents: got {documents!r}, expected Documents, such as '
      '@trax_hourglass.text_files()'
    )
  check_positive(
    length=length,
    batch_size=batch_size,
    total_shorten_factor=total_shorten_factor,
  )
  streams.check_seed(seed)
  if length % total_shorten_factor:
    raise UserError(
      f'length: got {length}, expected a multiple of the total shorten factor, '
      f'{total_shorten_factor}'
    )
  make = functools.partial(_Windows, documents, length, total_shorten_factor)
  train, evaluation = documents.split('train'), documents.split('validation')
  n_train, n_evaluation = len(make(train)), len(make(evaluation))
  if hosts.is_first():
    print(
      f'{documents.name}: {len(train):,} documents, padded by '
      f'{make(train).padding:.2%} to multiples of {total_shorten_factor}'
    )

  def batch(windows):
    tokens, marks = map(np.stack, zip(*windows, strict=True))
    weights = (marks > 0).astype(np.float32)
    inputs = (tokens, marks) if segments else (tokens,)
    return *inputs, tokens, weights

  def train_stream():
    @functools.lru_cache(2)  # A batch may span two passes.
    def windows(i):
      order = np.random.default_rng((seed, i)).permutation(len(train))
      return make(train[order])

    return streams.Stream(
      _Consecutive(batch_size),
      lambda choice: batch(
        [windows(i // n_train)[i % n_train] for i in choice.tolist()]
      ),
    )

  def evaluation_batches(size):
    windows = make(evaluation)
    for first in range(0, n_evaluation, size):
      yield batch([windows[i] for i in range(first, first + size)])

  return streams.inputs(
    train_stream,
    evaluation_batches,
    n_evaluation,
    batch_size,
    eval_batch_size,
    eval_batches,
  )


class _Consecutive:
  """Endless arrays of `size` consecutive numbers."""

  def __init__(self, size: int):
    self.size, self._first = size, 0

  def __next__(self) -> np.ndarray:
    self._first += self.size
    return np.arange(self._first - self.size, self._first)

  def skip(self, n: int) -> None:
    """Skips `n` numbers."""
    self._first += n


class _Windows:
  """Windows packed with documents in the order of their `numbers`.

  Window `i` is (tokens, segments); past the last document all are 0.
  """

  def __init__(self, documents, length, multiple, numbers):
    self._content, self._length = documents.content, length
    self._starts = documents.edges[numbers]
    self._sizes = documents.edges[numbers + 1] - self._starts
    padded = -(-self._sizes // multiple) * multiple
    self._places = np.concatenate([[0], np.cumsum(padded)])

  def __len__(self):
    return -(-int(self._places[-1]) // self._length)

  @property
  def padding(self) -> float:
    """Padding tokens per byte."""
    return self._places[-1] / self._sizes.sum() - 1

  def __getitem__(self, i):
    tokens, segments = np.zeros((2, self._length), np.int32)
    first, end = i * self._length, (i + 1) * self._length
    nearest = np.searchsorted(self._places, (first, end)) - [1, 0]
    numbers = range(max(nearest[0], 0), min(nearest[1], len(self._sizes)))
    for number in numbers:
      # The document's bytes in this window, as offsets in the window.
      place = self._places[number] - first
      begin = max(place, 0)
      stop = min(place + self._sizes[number], self._length)
      if begin < stop:
        start = self._starts[number] - place
        tokens[begin:stop] = self._content[start + begin : start + stop]
        segments[begin:stop] = segments.max() + 1
    return tokens, segments
