"""Causal attention over rotated queries and keys (arXiv:2104.09864)."""

from jax import numpy as jnp
from trax import layers as tl
from trax.layers import base

from trax_hourglass.errors import UserError
from trax_hourglass.kernels import blockwise
from trax_hourglass.kernels.alignment import Alignment
from trax_hourglass.layers.attention.cached import CachedAttention
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
  max_inference_length=2048,
):
  """Returns a layer that maps `(batch, length, d_model)` to the same shape.

  Causal multi-head self-attention, where position turns every query and key, so
  that their product depends on how far apart they are.

  Args:
    d_model: Width of the activations; an even multiple of `n_heads`.
    n_heads: Number of attention heads.
    dropout: Share of the attention weights dropped in training, in [0, 1).
    mode: `'train'`, `'eval'` or `'predict'`.
    context_bias_layer: Not used, as rotated vectors need no biases: part of
      every type's signature.
    location_bias_layer: Not used.
    total_pooling: Total shorten factor of the activations, used by the cache.
    max_inference_length: As for `RelativeAttention`.

  Raises:
    UserError: If an argument is out of its range.

  Source: arXiv:2104.09864, Section 3.2, each head rotated by itself.
  """
  del context_bias_layer, location_bias_layer
  check_mode(mode)
  check_dropout(dropout)
  if mode == 'predict':
    rotate_layer = RotateNext
    alignment = Alignment(total_pooling=total_pooling)
    attention = CachedAttention(alignment.cache_length(max_inference_length))
  else:
    rotate_layer = Rotate
    attention = DotProductAttention(causal_attention, dropout, mode)
  return RotarySelfAttention(
    rotate_layer, attention, d_model, n_heads, name='RotaryAttention'
  )


def RotarySelfAttention(rotate_layer, attention, d_model, n_heads, name):
  """Returns self-attention that leaves the choice of keys to a layer.

  Args:
    rotate_layer: `Rotate`, or `RotateNext` in mode `'predict'`.
    attention: Layer that maps queries and keys, both rotated, and values, each
      `(batch * heads, length, d_head)`, to that shape.
    d_model: As for `RotaryAttention`, like what follows.
    n_heads: Number of attention heads.
    name: Of the layer.

  Raises:
    UserError: If an argument is out of its range.
  """
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
      [split(), rotate_layer()],
      [split(), rotate_layer()],
      split(),
    ),  # queries, keys, values
    attention,
    tl.MergeHeads(n_heads),
    Dense(d_model),
    name=name,
  )


def Rotate():
  """Returns a layer that turns each vector by its position, see `rotate`."""
  return tl.Fn('Rotate', lambda x: rotate(x))


class RotateNext(base.Layer):
  """`Rotate` in mode `'predict'`: counts the positions of earlier calls."""

  def init_weights_and_state(self, input_signature):
    self.state = jnp.zeros((), jnp.int32)

  def forward(self, x):
    start = self.state
    self.state = start + x.shape[-2]
    return rotate(x, start)


def rotate(x, start=0):
  """Returns `(..., length, d)`, each vector turned by its position.

  Components i and i + d/2 turn by position / 10,000^(2i/d), as a pair.
  """
  length, d = x.shape[-2:]
  # In float32 for any x: an angle counts thousands of positions.
  frequencies = 1 / 10_000 ** (jnp.arange(0, d, 2, dtype=jnp.float32) / d)
  positions = (start + jnp.arange(length)).astype(jnp.float32)
  angles = positions[:, None] * frequencies
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
