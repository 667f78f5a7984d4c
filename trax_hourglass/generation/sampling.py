"""Drawing a token from logits: temperature, top-k, top-p. Pure functions.

Logits are `(..., vocab_size)`; those of excluded tokens become -inf.
"""

import math
import numbers

import jax
from jax import numpy as jnp

from trax_hourglass.errors import UserError, check_positive


def check_draw(temperature, top_k=None, top_p=None) -> None:
  """Raises `UserError` unless these are arguments that `draw` takes."""
  if not (
    isinstance(temperature, numbers.Real) and 0 <= temperature < math.inf
  ):
    raise UserError(
      f'temperature: got {temperature!r}, expected a number of at least 0'
    )
  if top_k is not None:
    check_positive(top_k=top_k)
  if top_p is not None and not (
    isinstance(top_p, numbers.Real) and 0 < top_p <= 1
  ):
    raise UserError(f'top_p: got {top_p!r}, expected a number in (0, 1]')


def key(seed: int):
  """Returns the random key of a seed, an integer in [0, 2**63).

  `jax.random.key` drops all but 32 bits unless 64-bit types are enabled.
  """
  with jax.enable_x64(True):
    return jax.random.key(seed)


def with_temperature(logits, temperature):
  """Returns logits / temperature, shifted so that the highest is 0.

  Args:
    logits: `(..., vocab_size)`.
    temperature: At least 0; 0 keeps only the likeliest tokens.
  """
  logits -= jnp.max(logits, axis=-1, keepdims=True)
  divisor = jnp.where(temperature > 0, temperature, 1)
  coldest = jnp.where(logits == 0, 0, -jnp.inf)
  return jnp.where(temperature > 0, logits / divisor, coldest)


def keep_top_k(logits, k):
  """Keeps the k likeliest tokens; the first ones among equals."""
  return jnp.where(_ranks(logits) < k, logits, -jnp.inf)


def keep_top_p(logits, p):
  """Keeps the fewest of the likeliest tokens that reach probability p.

  At least one is kept, and all for p = 1.
  Source: nucleus sampling, arXiv:1904.09751.
  """
  ranks = _ranks(logits)
  probabilities = jax.nn.softmax(logits)
  falling = -jnp.sort(-probabilities, axis=-1)
  likelier = jnp.cumsum(falling, axis=-1) - falling
  likelier = jnp.take_along_axis(likelier, ranks, axis=-1)
  # The sum over all may be rounded to more than 1.
  kept = (likelier < p) | (ranks == 0) | (p >= 1)
  return jnp.where(kept, logits, -jnp.inf)


def adjusted(logits, temperature=1.0, top_k=None, top_p=None):
  """Returns the logits to draw from: by temperature, then top-k, then top-p.

  `None` skips a step.
  """
  logits = with_temperature(logits, temperature)
  if top_k is not None:
    logits = keep_top_k(logits, top_k)
  if top_p is not None:
    logits = keep_top_p(logits, top_p)
  return logits


def draw(logits, keys, temperature=1.0, top_k=None, top_p=None):
  """Draws tokens, int32 `(batch,)`, from the softmax of `adjusted` logits.

  Each depends only on the logits and the key of its own row. At temperature 0
  it is the likeliest, the first one among equals.

  Args:
    logits: `(batch, vocab_size)`.
    keys: Random keys, `(batch,)`.
    temperature: As for `adjusted`.
    top_k: As for `adjusted`.
    top_p: As for `adjusted`.
  """
  logits = adjusted(logits, temperature, top_k, top_p)
  # The argmax of logits plus Gumbel noise is distributed like their softmax.
  shape = logits.shape[-1:]
  noise = jax.vmap(lambda key: jax.random.gumbel(key, shape, jnp.float32))(keys)
  noise = jnp.where(temperature > 0, noise, 0)
  return jnp.argmax(logits + noise, axis=-1).astype(jnp.int32)


def _ranks(logits):
  """Returns the rank of each token, 0 for the likeliest."""
  return jnp.argsort(jnp.argsort(-logits, axis=-1, stable=True), axis=-1)
