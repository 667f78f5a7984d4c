"""The task that no Hourglass without vanilla layers can do (App. A.1)."""

import numpy as np

from trax_hourglass.data import streams
from trax_hourglass.data.text import Text
from trax_hourglass.errors import UserError, check_positive

_BETWEEN = ord('#')


def random_chunks(
  n_letters: int = 26, n_chunks: int = 100_000, seed: int = 0
) -> Text:
  """Returns a text of chunks L#L, each with a random letter L.

  The letter that ends a chunk is known from the one that begins it, `#` from
  its place, and the first letter not at all.

  Args:
    n_letters: How many letters there are, from A on.
    n_chunks: How many chunks, of three bytes each.
    seed: What the letters follow from.

  Raises:
    UserError: If a number is out of its range.

  Source: arXiv:2110.13711, App. A.1.
  """
  check_positive(n_letters=n_letters, n_chunks=n_chunks)
  streams.check_seed(seed)
  if n_letters > 26:
    raise UserError(f'n_letters: got {n_letters}, expected at most 26')
  letters = np.random.default_rng(seed).integers(n_letters, size=n_chunks)
  tokens = np.full((n_chunks, 3), _BETWEEN, np.uint8)
  tokens[:, ::2] = (ord('A') + letters)[:, np.newaxis]
  # Whole chunks in each part.
  parts = np.split(tokens, [n_chunks * p // 100 for p in (90, 95)])
  return Text(f'chunks of {n_letters} letters', *map(np.ravel, parts))
