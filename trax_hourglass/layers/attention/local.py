"""Causal attention to a window of neighbours (arXiv:2110.13711, App. A.1)."""

import functools

import jax
from jax import numpy as jnp
from trax.layers import base

from trax_hourglass.errors import check_positive
from trax_hourglass.kernels import random_masks
from trax_hourglass.kernels.row_blocks import MASKED
from trax_hourglass.layers.attention.rotary import (
  DotProductAttention,
  RotarySelfAttention,
  Rotate,
  RotateNext,
)
from trax_hourglass.layers.checks import check_dropout, check_mode


def LocalAttention(
  d_model,
  n_heads=1,
  dropout=0.0,
  mode='train',
  context_bias_layer=None,
  location_bias_layer=None,
  total_pooling=1,
  window=128,
  max_inference_length=2048,
):
  """Returns a layer that maps `(batch, length, d_model)` to the same shape.

  `RotaryAttention`, whose arguments and errors these are, with a limited reach:
  output i sees the inputs from i - window + 1 to i. Memory grows with
  length * window.

  Args:
    d_model: Width of the activations; an even multiple of `n_heads`.
    n_heads: Number of attention heads.
    dropout: Share of the attention weights dropped in training, in [0, 1).
    mode: `'train'`, `'eval'` or `'predict'`.
    context_bias_layer: Not used, like the two below.
    location_bias_layer: Not used.
    total_pooling: Not used.
    window: How many vectors an output sees, itself included: tokens in vanilla
      layers, groups of tokens in shortened ones.
    max_inference_length: Not used: there is always room for a window.

  Raises:
    UserError: If an argument is out of its range.

  Source: arXiv:2110.13711, App. A.1, whose context size is our `window`.
  """
  del context_bias_layer, location_bias_layer, total_pooling
  del max_inference_length
  check_mode(mode)
  check_dropout(dropout)
  check_positive(window=window)
  if mode == 'predict':
    rotate_layer = RotateNext
    attention = CachedLocalAttention(window)
  else:
    rotate_layer = Rotate
    attention_fn = functools.partial(local_attention, window=window)
    attention = DotProductAttention(attention_fn, dropout, mode)
  return RotarySelfAttention(
    rotate_layer, attention, d_model, n_heads, name='LocalAttention'
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
  visible = _visible(queries.shape[-3], chunk, window)
  y = attend(
    queries, _with_previous(keys), _with_previous(values), visible, dropout, rng
  )
  return y.reshape(*batch, -1, d)[..., :length, :]


class CachedLocalAttention(base.Layer):
  """Local attention in mode `'predict'`: (queries, keys, values) of one call.

  The state is the keys and values of a window, `(n, window, d)`, where position
  p lies at p % window, and the number of positions so far.
  """

  def __init__(self, window):
    super().__init__(n_in=3, n_out=1)
    self._window = window

  def init_weights_and_state(self, input_signature):
    _, keys, _ = input_signature
    n, _, d = keys.shape
    empty = jnp.zeros((n, self._window, d), keys.dtype)
    self.state = empty, empty, jnp.zeros((), jnp.int32)

  def forward(self, inputs):
    length = inputs[0].shape[1]
    return self._one(*inputs) if length == 1 else self._many(*inputs)

  def _one(self, query, key, value):
    keys, values, position = self.state
    slot = position % self._window
    keys = jax.lax.dynamic_update_slice_in_dim(keys, key, slot, axis=1)
    values = jax.lax.dynamic_update_slice_in_dim(values, value, slot, axis=1)
    self.state = keys, values, position + 1
    # Softmax asks for no order, and none but these are in the window.
    return attend(query, keys, values, jnp.arange(self._window) <= position)

  def _many(self, queries, keys, values):
    *old, position = self.state
    window, length = self._window, queries.shape[1]
    # The window in order, then what is new: position p lies at
    # p - position + window.
    keys, values = (
      jnp.concatenate([jnp.roll(x, -(position % window), axis=1), new], axis=1)
      for x, new in zip(old, (keys, values), strict=True)
    )
    end = position + length
    self.state = (
      *(jnp.roll(x[:, -window:], end % window, axis=1) for x in (keys, values)),
      end,
    )
    queries = _chunks(queries, window)
    keys, values = (
      _with_previous(_chunks(x, window))[:, 1:] for x in (keys, values)
    )
    visible = _visible(queries.shape[-3], window, window, -position)
    y = attend(queries, keys, values, visible)
    return y.reshape(len(y), -1, y.shape[-1])[:, :length]


def _chunks(x, chunk):
  """Returns `(..., n_chunks, chunk, d)`, with zeros at the end."""
  *batch, length, d = x.shape
  widths = [(0, 0)] * len(batch) + [(0, -length % chunk), (0, 0)]
  return jnp.pad(x, widths).reshape(*batch, -1, chunk, d)


def _with_previous(x):
  """Returns `(..., n_chunks, 2 * chunk, d)`: the chunk before, then its own."""
  return jnp.concatenate([jnp.roll(x, 1, axis=-3), x], axis=-2)


def _visible(n_chunks, chunk, window, first=0):
  """Returns which keys of `_with_previous` each query of a chunk sees.

  Args:
    n_chunks: Number of chunks.
    chunk: Vectors in a chunk.
    window: How many keys a query sees, from `first` on.
    first: Position of the first key, where that of the first query is 0.
  """
  start = chunk * jnp.arange(n_chunks)[:, None, None]
  query = start + jnp.arange(chunk)[:, None]
  key = start + jnp.arange(-chunk, chunk)
  return (key >= first) & (key <= query) & (key > query - window)


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
  weights = jax.nn.softmax(jnp.where(visible, logits, MASKED))
  if dropout:
    keep = random_masks.keep(rng, dropout, weights.shape)
    weights = jnp.where(keep, weights / (1 - dropout), 0)
  return jnp.einsum('...ij,...jd->...id', weights.astype(values.dtype), values)
