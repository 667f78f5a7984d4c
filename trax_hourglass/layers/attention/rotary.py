"""Causal attention over rotated queries and keys (arXiv:2104.09864)."""

import functools

from jax import numpy as jnp
from trax import layers as tl
from trax.layers import base

from trax_hourglass.errors import UserError
from trax_hourglass.kernels import documents, fused, sinusoids
from trax_hourglass.kernels.cached import starts
from trax_hourglass.layers.attention.cached import CachedAttention
from trax_hourglass.layers.basic import Dense, RestoredSerial, stored
from trax_hourglass.layers.checks import (
  check_dropout,
  check_heads,
  check_implementation,
  check_mode,
)


def RotaryAttention(
  d_model,
  n_heads=1,
  dropout=0.0,
  mode='train',
  context_bias_layer=None,
  location_bias_layer=None,
  total_pooling=1,
  max_inference_length=2048,
  implementation='blockwise',
):
  """Returns a layer that maps `(batch, length, d_model)` to the same shape.

  Causal multi-head self-attention that rotates every query and key by its
  position, so that their product depends on their distance. Arguments and
  errors are those of `RelativeAttention`; `d_model` must be an even multiple of
  `n_heads`, and the biases are not used.

  Source: arXiv:2104.09864, Section 3.2, each head rotated by itself.
  """
  del context_bias_layer, location_bias_layer
  check_mode(mode)
  check_dropout(dropout)
  check_implementation(implementation)
  if mode == 'predict':
    rotate_layer = functools.partial(RotateNext, total_pooling)
    attention = CachedAttention(total_pooling, max_inference_length)
  else:
    rotate_layer = functools.partial(Rotate, total_pooling)
    attention_fn = functools.partial(
      fused.attention, implementation=implementation
    )
    attention = DotProductAttention(attention_fn, dropout, mode, total_pooling)
  return RotarySelfAttention(
    rotate_layer, attention, d_model, n_heads, name='RotaryAttention'
  )


def RotarySelfAttention(rotate_layer, attention, d_model, n_heads, name):
  """Returns the projections and rotation around an attention layer.

  Args:
    rotate_layer: `Rotate`, or `RotateNext` in mode `'predict'`.
    attention: Layer that maps rotated queries and keys, and values, each
      `(batch * heads, length, d_head)`, to that shape.
    d_model: Width of the activations; an even multiple of `n_heads`.
    n_heads: Number of attention heads.
    name: The layer's name.

  Raises:
    UserError: If `d_model` and `n_heads` do not fit.
  """
  check_heads(d_model, n_heads)
  if d_model // n_heads % 2:
    raise UserError(
      f'd_model {d_model}: expected an even multiple of n_heads {n_heads}, as '
      'the vector of a head is rotated in pairs'
    )

  def split():
    return [Dense(d_model), tl.SplitIntoHeads(n_heads)]

  return RestoredSerial(
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


def Rotate(total_pooling=1):
  """Returns a layer that rotates each vector by its position in its document.

  `total_pooling` is the total shorten factor of the vectors.
  """

  def rotate(x):
    first = documents.first_vectors(total_pooling, x.shape[:-1])
    return sinusoids.rotate(x, 0 if first is None else -first)

  return tl.Fn('Rotate', rotate)


class RotateNext(base.Layer):
  """`Rotate` in mode `'predict'`: counts the positions of earlier calls.

  Args:
    total_pooling: Total shorten factor of the vectors.
  """

  knows_starts = True

  def __init__(self, total_pooling):
    super().__init__()
    self._total_pooling = total_pooling

  def init_weights_and_state(self, input_signature):
    self.state = jnp.zeros((), jnp.int32)

  def forward(self, x):
    start = self.state
    self.state = start + x.shape[-2]
    first = starts.first_vectors(self._total_pooling, x.shape[:-2])
    if first is not None:
      start -= first[..., None]
    return sinusoids.rotate(x, start)


class DotProductAttention(base.Layer):
  """Maps (queries, keys, values), each `(n, length, d)`, to that shape.

  Args:
    attention_fn: Function from queries, keys and values, each
      `(1, n, length, d)`, and keywords `dropout`, `rng` and `first` to that
      shape.
    dropout: Share of the attention weights dropped in training.
    mode: `'train'` or `'eval'`.
    total_pooling: Total shorten factor of the vectors.
  """

  def __init__(self, attention_fn, dropout=0.0, mode='train', total_pooling=1):
    super().__init__(n_in=3, n_out=1)
    self._attention_fn = attention_fn
    self._total_pooling = total_pooling
    self._dropout = dropout if mode == 'train' else 0.0

  def forward(self, inputs):
    rng = self.rng if self._dropout else None
    shape = 1, *inputs[0].shape[:-1]
    first = documents.first_vectors(self._total_pooling, shape)
    inputs = (x[None] for x in stored(inputs))
    y = self._attention_fn(
      *inputs, dropout=self._dropout, rng=rng, first=first
    )[0]
    return stored(y)
