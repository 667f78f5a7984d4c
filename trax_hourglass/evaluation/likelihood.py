"""Log-probabilities of tokens, and of what may follow a prefix."""

from collections.abc import Sequence
from typing import NamedTuple
import weakref

import jax
from jax import numpy as jnp
import numpy as np
from trax.layers import base

from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.layers.basic import restored_on_error
from trax_hourglass.layers.checks import check_tokens
from trax_hourglass.layers.metrics import token_log_probs
from trax_hourglass.models.cached import check_ready

# Texts of any length are padded to a multiple of it: fewer programs to compile.
_MULTIPLE = 128

Tokens = np.ndarray | bytes

# The compiled function of each model that is still in use.
_COMPILED = weakref.WeakKeyDictionary()


class Likelihood(NamedTuple):
  """A model's opinion of a continuation.

  Attributes:
    log_likelihood: Natural logarithm of the probability of the continuation,
      given the prefix.
    is_greedy: Whether each of its tokens is the likeliest at its position; of
      several that are, the first counts.
  """

  log_likelihood: float
  is_greedy: bool


def log_probs(model: base.Layer, tokens: np.ndarray) -> np.ndarray:
  """Returns the log-probability of each token, float32 `(batch, length)`.

  That is the natural logarithm of the probability that the model gives the
  token, given those before it in its row.

  A program is compiled for each shape of `tokens`, and kept with the model.

  Args:
    model: Initialised Trax layer in mode `'eval'` that maps `(batch, length)`
      tokens to `(batch, length, vocab_size)` logits of the same tokens, such as
      an `HourglassLM`. Its weights may change between calls.
    tokens: Integers, `(batch, length)`.

  Raises:
    UserError: If the model is in mode `'predict'`, the tokens are not of that
      form, or one is outside the vocabulary.
  """
  tokens = np.asarray(tokens)
  if tokens.ndim != 2 or not np.issubdtype(tokens.dtype, np.integer):
    raise UserError(
      f'tokens: got {tokens.dtype} {tokens.shape}, expected whole numbers, '
      '(batch, length)'
    )
  if not tokens.size:
    return np.zeros(tokens.shape, np.float32)
  return _scored(model, tokens)[0]


def log_likelihood(
  model: base.Layer,
  prefix: Tokens,
  continuations: Sequence[Tokens],
  batch_size: int = 8,
) -> list[Likelihood]:
  """Returns how likely a model finds each continuation of a prefix.

  Evaluation harnesses ask for this, to let a model choose among answers.
  Prefix and continuation are padded together to a multiple of 128, so that few
  programs are compiled; the padding changes no result, unless attention sorts
  the whole sequence (LSH).

  Args:
    model: As for `log_probs`.
    prefix: Bytes, or tokens, `(length,)`; may be empty.
    continuations: The same, none of them empty.
    batch_size: How many go through the model at once.

  Raises:
    UserError: As for `log_probs`, and if there is an empty continuation.
  """
  check_positive(batch_size=batch_size)
  prefix = _as_row(prefix, 'prefix')
  rows = []
  for i, continuation in enumerate(continuations):
    row = _as_row(continuation, f'continuation {i}')
    if not len(row):
      raise UserError(f'continuation {i}: got none, expected some tokens')
    rows.append(np.concatenate([prefix, row]))
  if not rows:
    return []
  lengths = np.array([len(row) for row in rows])
  tokens = np.zeros((len(rows), -(-max(lengths) // _MULTIPLE) * _MULTIPLE), int)
  for row, padded in zip(rows, tokens, strict=True):
    padded[: len(row)] = row
  positions = np.arange(tokens.shape[1])
  counts = (len(prefix) <= positions) & (positions < lengths[:, None])
  size, found = min(batch_size, len(rows)), []
  for first in range(0, len(rows), size):
    batch = (first + np.arange(size)) % len(rows)  # The last one is filled up.
    scores, is_likeliest = _scored(model, tokens[batch])
    sums = np.sum(scores, axis=1, where=counts[batch], dtype=np.float64)
    is_greedy = np.all(is_likeliest, axis=1, where=counts[batch])
    found += map(Likelihood, sums.tolist(), is_greedy.tolist())
  return found[: len(rows)]


def _as_row(tokens, name):
  if isinstance(tokens, bytes):
    tokens = np.frombuffer(tokens, np.uint8)
  tokens = np.asarray(tokens)
  is_whole = np.issubdtype(tokens.dtype, np.integer) or not tokens.size
  if tokens.ndim != 1 or not is_whole:
    raise UserError(
      f'{name}: got {tokens.dtype} {tokens.shape}, expected bytes or whole '
      'numbers, (length,)'
    )
  return tokens.astype(int)


def _scored(model, tokens):
  """Returns log-probabilities, and whether each token is the likeliest."""
  if model not in _COMPILED:
    check_ready(model, 'eval')
    _COMPILED[model] = _compiled(model)
  *found, vocab_size = _COMPILED[model](
    model.weights, model.state, tokens.astype(np.int32)
  )
  check_tokens(tokens, int(vocab_size))
  return tuple(map(np.asarray, found))


def _compiled(model):
  """Returns a compiled function that does not keep the model alive."""
  _ = model.rng  # Made when first read: not within a trace.
  reference = weakref.ref(model)

  @jax.jit
  def scored(weights, state, tokens):
    rng = jax.random.PRNGKey(0)  # Nothing is drawn in mode 'eval'.
    model = reference()
    with restored_on_error(model):
      logits, _ = model.pure_fn(tokens, weights, state, rng)
    is_likeliest = jnp.argmax(logits, axis=-1) == tokens
    return token_log_probs(logits, tokens), is_likeliest, logits.shape[-1]

  return scored
