"""Causal attention to a window of neighbours (arXiv:2110.13711, App. A.1)."""

import functools

from trax.layers import base

from trax_hourglass.errors import check_positive
from trax_hourglass.kernels import local
from trax_hourglass.kernels.cached import starts
from trax_hourglass.layers.attention.rotary import (
  DotProductAttention,
  RotarySelfAttention,
  Rotate,
  RotateNext,
)
from trax_hourglass.layers.checks import check_dropout, check_mode, check_rows


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
  output i sees the inputs from i - window + 1 to i. A window counts vectors:
  tokens in vanilla layers, groups of tokens in shortened ones. Memory grows
  with length * window, and mode `'predict'` caches a window, whatever
  `max_inference_length`.

  Source: arXiv:2110.13711, App. A.1, whose context size is our `window`.
  """
  del context_bias_layer, location_bias_layer, max_inference_length
  check_mode(mode)
  check_dropout(dropout)
  check_positive(window=window)
  if mode == 'predict':
    rotate_layer = functools.partial(RotateNext, total_pooling)
    attention = CachedLocalAttention(window, total_pooling)
  else:
    rotate_layer = functools.partial(Rotate, total_pooling)
    attention_fn = functools.partial(local.local_attention, window=window)
    attention = DotProductAttention(attention_fn, dropout, mode, total_pooling)
  return RotarySelfAttention(
    rotate_layer, attention, d_model, n_heads, name='LocalAttention'
  )


class CachedLocalAttention(base.Layer):
  """`local_attention` in mode `'predict'`, of the vectors of one call."""

  knows_starts = True

  def __init__(self, window, total_pooling):
    super().__init__(n_in=3, n_out=1)
    self._window = window
    self._total_pooling = total_pooling

  def init_weights_and_state(self, input_signature):
    _, keys, _ = input_signature
    self.state = local.empty(keys, self._window)

  def forward(self, inputs):
    check_rows(inputs[0], self.state[0])
    first = starts.first_vectors(self._total_pooling, inputs[0].shape[:1])
    y, self.state = local.attend_to_cache(self.state, *inputs, first)
    return y
