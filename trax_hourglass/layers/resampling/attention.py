"""Shortening and upsampling by attention (arXiv:2110.13711, Section 2.1, 2.3).

Norms are left out of the formulas: S(x) stands for LN(S(LN(x))), u(x') for
LN(u(LN(x'))), and keys and values are LN(x) or LN(x').
"""

from trax import layers as tl

from trax_hourglass.layers.attention.relative import RelativeCrossAttention
from trax_hourglass.layers.basic import Dropout, LayerNorm
from trax_hourglass.layers.blocks import FeedForward
from trax_hourglass.layers.resampling.linear import (
  AveragePooling,
  LinearUpsampling,
  check_call,
)


def AttentionResampling(
  shorten_factor,
  d_model,
  is_upsampling,
  d_ff,
  n_heads=1,
  dropout=0.0,
  dropout_shared_axes=None,
  mode='train',
  ff_activation=tl.FastGelu,
  context_bias_layer=None,
  location_bias_layer=None,
  total_pooling=1,
  resampling_fn=None,
  max_inference_length=2048,
  implementation='blockwise',
):
  """Returns `AttentionUpsampling` or `AttentionShortening`.

  `shorten_factor` is k, which divides the length of x, and `total_pooling` the
  total shorten factor of x. `resampling_fn` is S or u, a resampler: by default
  `AveragePooling` for S and `LinearUpsampling` for u, as in
  `trax.models.HourglassLM`. All other arguments, and errors, are those of
  `DecoderBlock` and `RelativeAttention`.

  Source: arXiv:2110.13711, Sections 2.1 and 2.3.
  """
  check_call(shorten_factor, mode)
  steps = {'key_step' if is_upsampling else 'query_step': shorten_factor}
  resample = AttentionUpsampling if is_upsampling else AttentionShortening
  if resampling_fn is None:
    resampling_fn = LinearUpsampling if is_upsampling else AveragePooling
  return resample(
    resampling_fn(shorten_factor, d_model, dropout=dropout, mode=mode),
    tl.Residual(
      RelativeCrossAttention(
        d_model,
        n_heads=n_heads,
        dropout=dropout,
        mode=mode,
        context_bias_layer=context_bias_layer,
        location_bias_layer=location_bias_layer,
        total_pooling=total_pooling,
        max_inference_length=max_inference_length,
        implementation=implementation,
        **steps,
      ),
      Dropout(rate=dropout, shared_axes=dropout_shared_axes, mode=mode),
    ),
    FeedForward(
      d_model, d_ff, dropout, dropout_shared_axes, mode, ff_activation
    ),
  )


def AttentionShortening(pool, attend, feed_forward):
  """Returns a layer that maps x, `(batch, length, d)`, to x', k times shorter.

  x' = S(x) + Attention(Q = S(x), K = V = x), then a feed-forward.

  Args:
    pool: S, a layer that maps x to an array k times shorter.
    attend: Layer from (queries, memory) to queries + attention.
    feed_forward: Layer with a residual connection.
  """
  return tl.Serial(  # x
    LayerNorm(),
    tl.Dup(),  # x, x
    pool,
    LayerNorm(),  # S(x), x
    attend,
    feed_forward,  # x'
    name='AttentionShortening',
  )


class AttentionUpsampling(tl.Serial):
  """Maps (x', x), shortened vectors and those before shortening, to (y, x).

  y = U(x, x') + Attention(Q = U(x, x'), K = V = x') with U(x, x') = x + u(x'),
  then a feed-forward.

  Args:
    upsample: u, a layer that maps x' to an array k times longer.
    attend: Layer from (queries, memory) to queries + attention.
    feed_forward: Layer with a residual connection.

  Attributes:
    per_group: The part that does not need x: maps x' to (u(x'), x').
    per_vector: The part that needs x: maps (u(x'), x', x) to (y, x).
  """

  def __init__(self, upsample, attend, feed_forward):
    per_group = [  # x'
      LayerNorm(),
      tl.Dup(),  # x', x'
      upsample,
      LayerNorm(),  # u(x'), x'
    ]
    per_vector = [  # u(x'), x', x
      tl.Select([0, 2, 1, 2]),
      tl.Add(),  # U(x, x'), x', x
      attend,
      feed_forward,  # y, x
    ]
    super().__init__(per_group, per_vector, name='AttentionUpsampling')
    # Trax refuses to set further public attributes.
    self._per_group = tl.Serial(per_group)
    self._per_vector = tl.Serial(per_vector)

  @property
  def per_group(self):
    return self._per_group

  @property
  def per_vector(self):
    return self._per_vector
