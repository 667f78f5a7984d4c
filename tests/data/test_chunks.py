import numpy as np
import pytest

from trax_hourglass.data.chunks import random_chunks
from trax_hourglass.errors import UserError


def test_chunks_repeat_their_letter():
  text = random_chunks(n_letters=4, n_chunks=1000)
  for part, n in ((text.train, 900), (text.validation, 50), (text.test, 50)):
    chunks = part.reshape(n, 3)
    assert (chunks[:, 1] == ord('#')).all()
    np.testing.assert_array_equal(chunks[:, 0], chunks[:, 2])
  letters, counts = np.unique(
    text.train.reshape(-1, 3)[:, 0], return_counts=True
  )
  assert bytes(letters) == b'ABCD'
  assert counts.min() > 150  # Of 225 each, on average.


def test_seed_determines_letters():
  first, again, other = (random_chunks(seed=seed).train for seed in (0, 0, 1))
  np.testing.assert_array_equal(first, again)
  assert (first != other).any()


@pytest.mark.parametrize(
  'arguments', [{'n_letters': 27}, {'n_chunks': 0}, {'seed': -1}]
)
def test_arguments_out_of_range(arguments):
  [name] = arguments
  with pytest.raises(UserError, match=f'{name}: got'):
    random_chunks(**arguments)
