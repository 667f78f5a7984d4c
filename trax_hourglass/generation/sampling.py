"""Drawing a token from logits: temperature, top-k, top-p. Pure functions.

Logits are `(..., vocab_size)`; those of tokens that are left out become -inf.
"""

import jax
from jax import numpy as jnp


def key(seed: int):
  """Returns the random key of a seed, an integer in [0, 2**63).

  `jax.random.key` itself drops all but 32 bits, unless 64-bit types are on.
  """
  with jax.enable_x64(True):
    return jax.random.key(seed)


def with_temperature(logits, temperature):
  """Returns logits / temperature, shifted so that the highest is 0.

  Args:
    logits: `(..., vocab_size)`.
    temperature: At least 0, where the likeliest tokens alone are left.
  """
  logits -= jnp.max(logits, axis=-1, keepdims=True)
  divisor = jnp.where(temperature > 0, temperature, 1)
  coldest = jnp.where(logits == 0, 0, -jnp.inf)
  return jnp.where(temperature > 0, logits / divisor, coldest)


def keep_top_k(logits, k):
  """Returns logits of the k likeliest tokens; of equal ones the first."""
  return jnp.where(_ranks(logits) < k, logits, -jnp.inf)


def keep_top_p(logits, p):
  """Returns logits of the likeliest tokens that together have probability p.

  They are the fewest that reach p, in (0, 1]; at least one, and all for 1.
  Source: nucleus sampling, arXiv:1904.09751.
  """
  ranks = _ranks(logits)
  probabilities = jax.nn.softmax(logits)
  falling = -jnp.sort(-probabilities, axis=-1)
  of_likelier = jnp.cumsum(falling, axis=-1) - falling
  of_likelier = jnp.take_along_axis(of_likelier, ranks, axis=-1)
  # A sum of all may be rounded to more than 1.
  kept = (of_likelier < p) | (ranks == 0) | (p >= 1)
  return jnp.where(kept, logits, -jnp.inf)


def adjusted(logits, temperature=1.0, top_k=None, top_p=None):
  """Returns the logits to draw from: by temperature, then top-k, then top-p.

  Args:
    logits: `(..., vocab_size)`.
    temperature: As for `with_temperature`.
    top_k: As for `keep_top_k`; `None` keeps all.
    top_p: As for `keep_top_p`; `None` keeps all.
  """
  logits = with_temperature(logits, temperature)
  if top_k is not None:
    logits = keep_top_k(logits, top_k)
  if top_p is not None:
    logits = keep_top_p(logits, top_p)
  return logits


def draw(logits, keys, temperature=1.0, top_k=None, top_p=None):
  """Returns int32 tokens, `(batch,)`, from the softmax of `adjusted` logits.

  Each depends on the logits and the key of its own row alone; at temperature 0
  it is the likeliest, of equal ones the first.

  Args:
    logits: `(batch, vocab_size)`.
    keys: Random keys, `(batch,)`.
    temperature: As for `adjusted`, like everything below.
    top_k: How many tokens to draw from.
    top_p: Which probability to draw from.
  """
  logits = adjusted(logits, temperature, top_k, top_p)
  # The highest sum of a logit and Gumbel noise is distributed like the softmax.
  shape = logits.shape[-1:]
  noise = jax.vmap(lambda key: jax.random.gumbel(key, shape, jnp.float32))(keys)
  noise = jnp.where(temperature > 0, noise, 0)
  return jnp.argmax(logits + noise, axis=-1).astype(jnp.int32)


def _ranks(logits):
  """Returns for each token how many come before it, the likeliest first."""
  return jnp.argsort(jnp.argsort(-logits, axis=-1, stable=True), axis=-1)
