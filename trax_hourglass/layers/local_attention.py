"""Causal attention to a window of neighbours (arXiv:2110.13711, App. A.1)."""

import functools

import jax
from jax import numpy as jnp

from trax_hourglass.errors import check_positive
from trax_hourglass.layers import random_masks
from trax_hourglass.layers.rotary import RotarySelfAttention

_MASKED = -1e9


def LocalAttention(
  d_model,
  n_heads=1,
  dropout=0.0,
  mode='train',
  context_bias_layer=None,
  location_bias_layer=None,
  total_pooling=1,
  window=128,
):
  """Returns a layer that maps `(batch, length, d_model)` to the same shape.

  `RotaryAttention`, whose arguments and errors these are, with a limited reach:
  output i sees the inputs from i - window + 1 to i. Memory grows with
  length * window.

  Args:
    d_model: Width of the activations; an even multiple of `n_heads`.
    n_heads: Number of attention heads.
    dropout: Share of the attention weights dropped in training, in [0, 1).
    mode: `'train'` or `'eval'`.
    context_bias_layer: Not used, like the two below.
    location_bias_layer: Not used.
    total_pooling: Not used.
    window: How many vectors an output sees, itself included: tokens in vanilla
      layers, groups of tokens in shortened ones.

  Raises:
    UserError: If an argument is out of its range.

  Source: arXiv:2110.13711, App. A.1, whose context size is our `window`.
  """
  del context_bias_layer, location_bias_layer, total_pooling
  check_positive(window=window)
  return RotarySelfAttention(
    functools.partial(local_attention, window=window),
    d_model,
    n_heads,
    dropout,
    mode,
    name='LocalAttention',
  )


def local_attention(queries, keys, values, window, dropout=0.0, rng=None):
  """Returns `(..., length, d)`: each query attends to its last `window` keys.

  The sequence is cut into chunks of a window's length, so that the window of a
  query lies in its own chunk and the one before: no other keys are computed.
  Arguments are those of `causal_attention`.
  """
  *batch, length, d = queries.shape
  chunk = min(window, length)
  queries, keys, values = (_chunks(x, chunk) for x in (queries, keys, values))
  start = chunk * jnp.arange(queries.shape[-3])[:, None, None]
  query = start + jnp.arange(chunk)[:, None]
  key = start + jnp.arange(-chunk, chunk)
  visible = (key >= 0) & (key <= query) & (key > query - window)
  y = attend(
    queries, _with_previous(keys), _with_previous(values), visible, dropout, rng
  )
  return y.reshape(*batch, -1, d)[..., :length, :]


def _chunks(x, chunk):
  """Returns `(..., n_chunks, chunk, d)`, with zeros at the end."""
  *batch, length, d = x.shape
  widths = [(0, 0)] * len(batch) + [(0, -length % chunk), (0, 0)]
  return jnp.pad(x, widths).reshape(*batch, -1, chunk, d)


def _with_previous(x):
  """Returns `(..., n_chunks, 2 * chunk, d)`: the chunk before, then its own."""
  return jnp.concatenate([jnp.roll(x, 1, axis=-3), x], axis=-2)


def attend(queries, keys, values, visible, dropout=0.0, rng=None):
  """Returns softmax(Q K^T / sqrt(d)) V over the visible keys, `(..., q, d)`.

  Args:
    queries: `(..., q, d)`.
    keys: `(..., k, d)`.
    values: `(..., k, d)`.
    visible: Booleans that broadcast to `(..., q, k)`: which keys a query sees.
    dropout: Share of the attention weights dropped.
    rng: Random key, needed where `dropout` is above 0.
  """
  logits = jnp.einsum(
    '...id,...jd->...ij', queries, keys, preferred_element_type=jnp.float32
  )
  logits = logits / jnp.sqrt(queries.shape[-1])
  weights = jax.nn.softmax(jnp.where(visible, logits, _MASKED))
  if dropout:
    keep = random_masks.keep(rng, dropout, weights.shape)
    weights = jnp.where(keep, weights / (1 - dropout), 0)
  return jnp.einsum('...ij,...jd->...id', weights.astype(values.dtype), values)
