"""What the streams of text and of images share.

A stream yields batches (inputs, targets, loss weights) of shape
`(batch, length)` in int32, int32 and float32. The inputs are the targets: the
model shifts them right itself.
"""

from collections.abc import Callable, Iterable, Iterator
import itertools
import numbers

import numpy as np

from trax_hourglass.errors import UserError

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


def shuffled(n: int, size: int, seed: int) -> Iterator[np.ndarray]:
  """Yields permutations of 0..n-1, one after the other, in pieces of `size`."""
  rng = np.random.default_rng(seed)
  order = rng.permutation(n)
  while True:
    while len(order) < size:
      order = np.concatenate([order, rng.permutation(n)])
    piece, order = np.split(order, [size])
    yield piece


def over_and_over(
  stream: Callable[[], Iterable[Batch]], n_batches: int | None
) -> Iterator[Batch]:
  """Yields the first `n_batches` of `stream()`, or all, endlessly."""
  return itertools.chain.from_iterable(
    itertools.islice(stream(), n_batches) for _ in itertools.count()
  )


def check_seed(seed) -> None:
  if not isinstance(seed, numbers.Integral) or seed < 0:
    raise UserError(f'seed: got {seed!r}, expected a whole number, at least 0')


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
