"""Documents side by side in a sequence, which do not see one another.

A document starts at a multiple of the total shorten factor, so at each level it
is a run of vectors, and a query sees no keys before the first of its own
document. Padding after a document belongs to it: the document does not see
what comes later.
"""

from collections.abc import Iterator
import contextlib
import contextvars
import math

import jax
from jax import numpy as jnp

_FIRST_TOKENS = contextvars.ContextVar('first_tokens', default=None)


def starts(segments):
  """Returns which tokens after the first start a document.

  Booleans, `(batch, length - 1)`. `segments`, `(batch, length)`, has the same
  number at all tokens of a document and another at those of the next one;
  padding is 0.
  """
  is_first = segments[:, 1:] != segments[:, :-1]
  return is_first & (segments[:, 1:] != 0)


@contextlib.contextmanager
def kept_apart(segments) -> Iterator[None]:
  """Keeps documents apart in models that are traced within the body.

  `segments` are those of `starts`.
  """
  position = jnp.arange(1, segments.shape[1], dtype=jnp.int32)
  first = jnp.where(starts(segments), position, 0)
  first = jax.lax.cummax(jnp.pad(first, [(0, 0), (1, 0)]), axis=1)
  token = _FIRST_TOKENS.set(first)
  try:
    yield
  finally:
    _FIRST_TOKENS.reset(token)


def first_vectors(tokens_per_vector, shape):
  """Returns the first vector of each vector's document, or `None` if all are 0.

  Args:
    tokens_per_vector: Total shorten factor of the vectors.
    shape: `(batch, length)`, `(batch * heads, length)`, or these two as three
      dimensions, like the int32 result.
  """
  tokens = _FIRST_TOKENS.get()
  if tokens is None:
    return None
  vectors = tokens[:, ::tokens_per_vector] // tokens_per_vector
  *batch, length = shape
  # The model pads a sequence at its end.
  n_padded = length - vectors.shape[1]
  vectors = jnp.pad(vectors, [(0, 0), (0, n_padded)], mode='edge')
  return vectors.repeat(math.prod(batch) // len(vectors), 0).reshape(shape)


def shift_right(x, n, tokens_per_vector):
  """Shifts each document right by `n`, with zeros at its start.

  Args:
    x: `(batch, length, ...)`.
    n: Number of vectors, at least 1.
    tokens_per_vector: As for `first_vectors`.
  """
  shape = x.shape
  padded = jnp.pad(x, [(0, 0), (n, 0)] + [(0, 0)] * (x.ndim - 2))
  shifted = padded[:, :-n]
  first = first_vectors(tokens_per_vector, shape[:2])
  if first is None:
    return shifted
  is_inside = jnp.arange(shape[1]) - first >= n
  return jnp.where(
    is_inside.reshape(shape[:2] + (1,) * (x.ndim - 2)), shifted, 0
  )
