"""A task that an Hourglass without vanilla layers cannot learn (App. A.1)."""

import numpy as np

from trax_hourglass.data import streams
from trax_hourglass.data.text import Text
from trax_hourglass.errors import UserError, check_positive

_BETWEEN = ord('#')


def random_chunks(
  n_letters: int = 26, n_chunks: int = 100_000, seed: int = 0
) -> Text:
  """Returns a text of chunks L#L, each with a random letter L.

  The last letter of a chunk follows from its first one, which is unpredictable,
  and `#` from its position.

  Args:
    n_letters: Number of letters, from A on.
    n_chunks: Number of chunks, of three bytes each.
    seed: Seed of the letters.

  Raises:
    UserError: If a number is out of range.

  Source: arXiv:2110.13711, App. A.1.
  """
  check_positive(n_letters=n_letters, n_chunks=n_chunks)
  streams.check_seed(seed)
  if n_letters > 26:
    raise UserError(f'n_letters: got {n_letters}, expected at most 26')
  letters = np.random.default_rng(seed).integers(n_letters, size=n_chunks)
  tokens = np.full((n_chunks, 3), _BETWEEN, np.uint8)
  tokens[:, ::2] = (ord('A') + letters)[:, np.newaxis]
  parts = map(np.ravel, streams.split(tokens))  # Whole chunks in each.
  return Text(f'chunks of {n_letters} letters', *parts)
