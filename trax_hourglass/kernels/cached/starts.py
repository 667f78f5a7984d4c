"""Rows of a batch that start at different positions.

Prompts of different lengths are decoded side by side: a shorter one starts
later, so that all end at the same position. Layers with a cache ignore, in each
row, the vectors before its start, so these may be anything. Starts are
multiples of the total shorten factor: all rows complete groups in the same
steps.
"""

from collections.abc import Iterator
import contextlib
import contextvars
import math

_STARTS = contextvars.ContextVar('starts', default=None)


@contextlib.contextmanager
def rows_start_at(tokens) -> Iterator[None]:
  """Sets where rows start, for models that are traced within the body.

  Args:
    tokens: Position of the first token of each row, int32 `(batch,)`, a
      multiple of the model's total shorten factor; `None` if all start at 0.
  """
  token = _STARTS.set(tokens)
  try:
    yield
  finally:
    _STARTS.reset(token)


def first_vectors(tokens_per_vector, shape):
  """Returns the first vector of each sequence, or `None` if all start at 0.

  Args:
    tokens_per_vector: Total shorten factor of the vectors.
    shape: `(batch,)`, `(batch * heads,)` or `(batch, heads)`, like the result.
  """
  tokens = _STARTS.get()
  if tokens is None:
    return None
  vectors = tokens // tokens_per_vector
  return vectors.repeat(math.prod(shape) // len(vectors)).reshape(shape)
