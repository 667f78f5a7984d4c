"""Streams of batches, of texts and of images.

A stream yields (inputs, targets, loss weights) of shape `(batch, length)` in
int32, int32 and float32. Inputs equal targets: the model itself shifts right.
"""

from collections.abc import Callable, Iterable
import numbers

import numpy as np
from trax.data import inputs as trax_inputs

from trax_hourglass.errors import UserError, check_positive

SPLITS = ('train', 'validation', 'test')

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


class Stream:
  """Endless batches; skipped ones are not made.

  Args:
    choices: A `Draws` or `Shuffled` of indices of examples.
    make_batch: Function from indices to a batch.
  """

  def __init__(self, choices, make_batch: Callable[[np.ndarray], Batch]):
    self._choices = choices
    self._make_batch = make_batch

  def __iter__(self):
    return self

  def __next__(self) -> Batch:
    return self._make_batch(next(self._choices))

  def skip(self, n: int) -> None:
    """Skips `n` batches."""
    self.skip_examples(n * self._choices.size)

  def skip_examples(self, n: int) -> None:
    self._choices.skip(n)


class Draws:
  """Endless arrays of `size` numbers below `n`, uniformly at random."""

  def __init__(self, n: int, size: int, seed: int):
    self._rng = np.random.default_rng(seed)
    self._n, self.size = n, size

  def __next__(self) -> np.ndarray:
    return self._rng.integers(self._n, size=self.size)

  def skip(self, n: int) -> None:
    """Skips `n` numbers."""
    for first in range(0, n, 1 << 20):
      self._rng.integers(self._n, size=min(1 << 20, n - first))


class Shuffled:
  """Consecutive permutations of 0..n-1, in pieces of `size`."""

  def __init__(self, n: int, size: int, seed: int):
    self._rng = np.random.default_rng(seed)
    self._n, self.size = n, size
    self._order = self._rng.permutation(n)

  def __next__(self) -> np.ndarray:
    while len(self._order) < self.size:
      following = self._rng.permutation(self._n)
      self._order = np.concatenate([self._order, following])
    piece, self._order = np.split(self._order, [self.size])
    return piece

  def skip(self, n: int) -> None:
    """Skips `n` numbers."""
    while len(self._order) < n:
      n -= len(self._order)
      self._order = self._rng.permutation(self._n)
    self._order = self._order[n:]


class Repeated:
  """The first `n_batches` of `stream()`, over and over."""

  def __init__(self, stream: Callable[[], Iterable[Batch]], n_batches: int):
    self._stream = stream
    self.n_batches = n_batches
    self.restart()

  def __iter__(self):
    return self

  def __next__(self) -> Batch:
    if self._place == self.n_batches:
      self.restart()
    self._place += 1
    return next(self._pass)

  def restart(self) -> None:
    """Goes back to the first batch."""
    self._pass = iter(self._stream())
    self._place = 0

  def skip(self, n: int) -> None:
    """Skips `n` batches, drawing less than one pass of them."""
    place = (self._place + n) % self.n_batches
    self.restart()
    for _ in range(place):
      next(self)


def from_rows(rows: np.ndarray, choices) -> Stream:
  """Returns a stream whose examples are chosen rows of tokens."""
  return Stream(choices, lambda choice: batch(rows[choice]))


def batch(rows: np.ndarray) -> Batch:
  """Returns rows of tokens as a batch in which every token counts."""
  tokens = rows.astype(np.int32)
  return tokens, tokens, np.ones(tokens.shape, np.float32)


def inputs(
  train: Callable[[], Stream],
  evaluation: Callable[[int], Iterable[Batch]],
  n_evaluation: int,
  batch_size: int,
  eval_batch_size: int | None = None,
  eval_batches: int | None = None,
) -> trax_inputs.Inputs:
  """Returns the `inputs` of Trax's `train`.

  Args:
    train: Makes the stream of training batches.
    evaluation: Makes one pass over the evaluation data, in batches of the given
      size.
    n_evaluation: Examples in that pass.
    batch_size: Examples in a training batch, over all devices.
    eval_batch_size: Examples in an evaluation batch, `batch_size` by default.
    eval_batches: Most batches in an evaluation; by default all of the pass.

  Raises:
    UserError: If a size is not positive; when a stream is made, if its batches
      cannot be shared out evenly among the devices.
  """
  eval_batch_size = batch_size if eval_batch_size is None else eval_batch_size
  check_positive(batch_size=batch_size, eval_batch_size=eval_batch_size)
  n_batches = -(-n_evaluation // eval_batch_size)
  if eval_batches is not None:
    check_positive(eval_batches=eval_batches)
    n_batches = min(eval_batches, n_batches)

  def train_stream(n_devices):
    check_shares('batch_size', batch_size, n_devices)
    return train()

  def eval_stream(n_devices):
    check_shares('eval_batch_size', eval_batch_size, n_devices)
    return Repeated(lambda: evaluation(eval_batch_size), n_batches)

  return trax_inputs.Inputs(train_stream, eval_stream)


def split(items: np.ndarray) -> list[np.ndarray]:
  """Splits an array as enwik8 is split: the first 90%, then 5%, then 5%."""
  return np.split(items, [len(items) * percent // 100 for percent in (90, 95)])


def check_split(name) -> None:
  """Raises `UserError` unless this is the name of a split."""
  if name not in SPLITS:
    raise UserError(f'split: got {name!r}, expected one of {SPLITS}')


def check_seed(seed) -> None:
  """Raises `UserError` unless this is a seed."""
  if not isinstance(seed, numbers.Integral) or not 0 <= seed < 2**63:
    raise UserError(
      f'seed: got {seed!r}, expected a whole number, at least 0 and below 2**63'
    )


def check_shares(
  name: str, size: int, n_devices: int, n_hosts: int = 1
) -> None:
  """Raises `UserError` unless a batch can be shared out evenly.

  Args:
    name: The name of the size in the error.
    size: Sequences in the batch.
    n_devices: Number of devices on all hosts.
    n_hosts: Number of hosts.
  """
  if size % n_devices:
    below = size // n_devices * n_devices
    sizes = [str(n) for n in (below, below + n_devices) if n]
    hosts = f' of {n_hosts} hosts' if n_hosts > 1 else ''
    raise UserError(
      f'{name}: got {size}, expected a multiple of the {n_devices} devices'
      f'{hosts}, such as {" or ".join(sizes)}'
    )
