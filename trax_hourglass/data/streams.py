"""What the streams of text and of images share.

A stream yields batches (inputs, targets, loss weights) of shape
`(batch, length)` in int32, int32 and float32. The inputs are the targets: the
model shifts them right itself.
"""

from collections.abc import Callable, Iterable
import numbers

import numpy as np

from trax_hourglass.errors import UserError

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


class Stream:
  """Endless batches, of which any number can be skipped without being made."""

  def __init__(self, choices, make_batch: Callable[[np.ndarray], Batch]):
    """Arguments are a `Draws` or a `Shuffled`, and what it chooses for."""
    self._choices = choices
    self._make_batch = make_batch

  def __iter__(self):
    return self

  def __next__(self) -> Batch:
    return self._make_batch(next(self._choices))

  def skip(self, n: int) -> None:
    self._choices.skip(n)


class Draws:
  """Endless arrays of `size` numbers below `n`, uniformly at random."""

  def __init__(self, n: int, size: int, seed: int):
    self._rng = np.random.default_rng(seed)
    self._n, self._size = n, size

  def __next__(self) -> np.ndarray:
    return self._rng.integers(self._n, size=self._size)

  def skip(self, n: int) -> None:
    most = max(1, (1 << 20) // self._size)
    for first in range(0, n, most):
      self._rng.integers(self._n, size=(min(most, n - first), self._size))


class Shuffled:
  """Permutations of 0..n-1, one after the other, in pieces of `size`."""

  def __init__(self, n: int, size: int, seed: int):
    self._rng = np.random.default_rng(seed)
    self._n, self._size = n, size
    self._order = self._rng.permutation(n)

  def __next__(self) -> np.ndarray:
    while len(self._order) < self._size:
      following = self._rng.permutation(self._n)
      self._order = np.concatenate([self._order, following])
    piece, self._order = np.split(self._order, [self._size])
    return piece

  def skip(self, n: int) -> None:
    n_items = n * self._size
    while len(self._order) < n_items:
      n_items -= len(self._order)
      self._order = self._rng.permutation(self._n)
    self._order = self._order[n_items:]


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


def check_seed(seed) -> None:
  if not isinstance(seed, numbers.Integral) or not 0 <= seed < 2**63:
    raise UserError(
      f'seed: got {seed!r}, expected a whole number, at least 0 and below 2**63'
    )


def check_shares(
  name: str, size: int, n_devices: int, n_hosts: int = 1
) -> None:
  """Raises `UserError` unless a batch can be shared out evenly.

  Args:
    name: Of the size, for the message.
    size: Sequences in the batch.
    n_devices: Devices on all hosts.
    n_hosts: How many hosts have them.
  """
  if size % n_devices:
    below = size // n_devices * n_devices
    sizes = [str(n) for n in (below, below + n_devices) if n]
    hosts = f' of {n_hosts} hosts' if n_hosts > 1 else ''
    raise UserError(
      f'{name}: got {size}, expected a multiple of the {n_devices} devices'
      f'{hosts}, such as {" or ".join(sizes)}'
    )
