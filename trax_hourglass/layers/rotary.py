"""Causal attention over rotated queries and keys (arXiv:2104.09864)."""

from jax import numpy as jnp
from trax import layers as tl
from trax.layers import base

from trax_hourglass.errors import UserError
from trax_hourglass.layers import blockwise
from trax_hourglass.layers.basic import Dense, stored
from trax_hourglass.layers.checks import check_dropout, check_heads, check_mode


def RotaryAttention(
  d_model,
  n_heads=1,
  dropout=0.0,
  mode='train',
  context_bias_layer=None,
  location_bias_layer=None,
  total_pooling=1,
):
  """Returns a layer that maps `(batch, length, d_model)` to the same shape.

  Causal multi-head self-attention, where position turns every query and key, so
  that their product depends on how far apart they are.

  Args:
    d_model: Width of the activations; an even multiple of `n_heads`.
    n_heads: Number of attention heads.
    dropout: Share of the attention weights dropped in training, in [0, 1).
    mode: `'train'` or `'eval'`.
    context_bias_layer: Not used, like the two below, as rotated vectors need no
      biases and count positions in vectors: part of every type's signature.
    location_bias_layer: Not used.
    total_pooling: Not used.

  Raises:
    UserError: If an argument is out of its range.

  Source: arXiv:2104.09864, Section 3.2, each head rotated by itself.
  """
  del context_bias_layer, location_bias_layer, total_pooling
  return RotarySelfAttention(
    causal_attention, d_model, n_heads, dropout, mode, name='RotaryAttention'
  )


def RotarySelfAttention(attention_fn, d_model, n_heads, dropout, mode, name):
  """Returns self-attention that leaves the choice of keys to `attention_fn`.

  Called as `attention_fn(queries, keys, values, dropout=..., rng=...)`, with
  rotated queries and keys: see `causal_attention`.

  Raises:
    UserError: If an argument is out of its range.
  """
  check_mode(mode)
  check_dropout(dropout)
  check_heads(d_model, n_heads)
  if d_model // n_heads % 2:
    raise UserError(
      f'd_model {d_model}: expected an even multiple of n_heads {n_heads}, as '
      'the vector of a head is rotated in pairs'
    )

  def split():
    return [Dense(d_model), tl.SplitIntoHeads(n_heads)]

  return tl.Serial(
    tl.Branch(
      [split(), tl.Fn('Rotate', rotate)],
      [split(), tl.Fn('Rotate', rotate)],
      split(),
    ),  # queries, keys, values
    DotProductAttention(attention_fn, dropout, mode),
    tl.MergeHeads(n_heads),
    Dense(d_model),
    name=name,
  )


def rotate(x):
  """Returns `(..., length, d)`, each vector turned by its position.

  Components i and i + d/2 turn by position / 10,000^(2i/d), as a pair.
  """
  length, d = x.shape[-2:]
  # In float32 for any x: an angle counts thousands of positions.
  frequencies = 1 / 10_000 ** (jnp.arange(0.0, d, 2.0) / d)
  angles = jnp.arange(length, dtype=jnp.float32)[:, None] * frequencies
  sin, cos = jnp.sin(angles), jnp.cos(angles)
  first, second = jnp.split(x, 2, axis=-1)
  turned = first * cos - second * sin, second * cos + first * sin
  return jnp.concatenate(turned, axis=-1).astype(x.dtype)


class DotProductAttention(base.Layer):
  """Maps (queries, keys, values) to activations by `attention_fn`.

  A class because dropout needs the layer's random key.
  """

  def __init__(self, attention_fn, dropout=0.0, mode='train'):
    super().__init__(n_in=3, n_out=1)
    self._attention_fn = attention_fn
    self._dropout = dropout if mode == 'train' else 0.0

  def forward(self, inputs):
    rng = self.rng if self._dropout else None
    y = self._attention_fn(*stored(inputs), dropout=self._dropout, rng=rng)
    return stored(y)


def causal_attention(queries, keys, values, dropout=0.0, rng=None):
  """Returns `(n, length, d)`: each query attends to its past and itself.

  Args:
    queries: `(n, length, d)`, like keys and values: n heads of any sequences.
    keys: See queries.
    values: See queries.
    dropout: Share of the attention weights dropped.
    rng: Random key, needed where `dropout` is above 0.
  """
  inputs = (x[None] for x in (queries, keys, values))
  return blockwise.attention(*inputs, dropout=dropout, rng=rng)[0]
