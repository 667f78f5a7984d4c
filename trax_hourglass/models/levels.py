"""The levels of an Hourglass (arXiv:2110.13711, Figure 2 and Algorithm 1)."""

from collections.abc import Callable
import dataclasses

from trax import layers as tl
from trax import shapes
from trax.layers import base

from trax_hourglass.errors import UserError
from trax_hourglass.layers.attention.types import attention_layer
from trax_hourglass.layers.basic import LayerNorm
from trax_hourglass.layers.blocks import DecoderBlock
from trax_hourglass.layers.rematerialization import Rematerialized
from trax_hourglass.layers.repeated import Repeated
from trax_hourglass.layers.resampling.types import resampling_layer
from trax_hourglass.layers.shorten_factor_dropout import ShortenFactorDropout
from trax_hourglass.models.cached import CachedValley


@dataclasses.dataclass(frozen=True)
class Levels:
  """Builds the parts of an Hourglass, from the outermost level inwards.

  `stack` is a call of HOURGLASS in Algorithm 1, and `valley` what stands
  between its vanilla layers. A `level` is a `hierarchy.Level`.

  Attributes:
    context_bias_layer: Layer that pushes the bias `u` of all attention.
    location_bias_layer: The same for the bias `v`.
    d_model: As for `Hourglass`, like everything else.
  """

  context_bias_layer: base.Layer
  location_bias_layer: base.Layer
  d_model: int
  d_ff: int
  n_heads: int
  dropout: float
  dropout_shared_axes: tuple[int, ...] | None
  mode: str
  ff_activation: Callable
  vanilla_attn_type: Callable
  middle_attn_type: Callable
  downsampling_fn: Callable
  upsampling_fn: Callable
  attention_downsampling_fn: Callable
  attention_upsampling_fn: Callable
  rematerialize: bool
  max_inference_length: int

  def stack(self, level):
    """Returns the layers of a level and of those in it."""
    if not level.inners:
      return [self.blocks(level.n_pre, level)]
    return [  # x
      self.blocks(level.n_pre, level),
      tl.Dup(),  # x, x
      self.valleys(level),
      tl.Add(),  # x
      self.blocks(level.n_post, level),
    ]

  def valleys(self, level):
    """Returns the valley of a level, or several of which training draws one."""
    valleys = [self.valley(level, inner) for inner in level.inners]
    if len(valleys) == 1:
      return valleys[0]
    self.check_weights_shared(level)
    return ShortenFactorDropout(valleys, self.mode)

  def valley(self, level, inner):
    """Returns shift, shortening, the shorter level and upsampling."""
    k = inner.total_shorten_factor // level.total_shorten_factor
    shorten, upsample = self.shorten(k, level), self.upsample(k, level)
    if self.mode == 'predict':
      return CachedValley(k, shorten, self.stack(inner), upsample, LayerNorm())
    return tl.Serial(
      tl.ShiftRight(k - 1, mode=self.mode),
      shorten,
      self.stack(inner),  # x', x
      upsample,
      LayerNorm(),
      name='Valley',
    )

  def blocks(self, n_layers, level):
    """Returns blocks and the norm that follows them."""
    blocks = [self.block(level) for _ in range(n_layers)]
    if self.mode == 'predict' and n_layers > 1:
      # Not in a loop, which would stack, and so copy, weights and caches.
      blocks = tl.Serial(blocks, name='Repeated')
    elif n_layers > 1:
      blocks = Repeated(blocks, self.rematerialize)
    else:
      blocks = [self._rematerialized(block) for block in blocks]
    name = f'Blocks_{n_layers}@{level.total_shorten_factor}'
    return tl.Serial(blocks, LayerNorm(), name=name)

  def block(self, level):
    """Returns one Transformer block."""
    is_vanilla = level.total_shorten_factor == 1
    attention = attention_layer(
      self.vanilla_attn_type if is_vanilla else self.middle_attn_type,
      self.d_model,
      n_heads=self.n_heads,
      dropout=self.dropout,
      mode=self.mode,
      context_bias_layer=self.context_bias_layer,
      location_bias_layer=self.location_bias_layer,
      total_pooling=level.total_shorten_factor,
      max_inference_length=self.max_inference_length,
    )
    return DecoderBlock(
      attention,
      self.d_model,
      self.d_ff,
      self.dropout,
      self.dropout_shared_axes,
      self.mode,
      self.ff_activation,
    )

  def shorten(self, k, level):
    """Returns a layer that shortens the vectors of a level k times."""
    return self._resample(
      self.downsampling_fn,
      k,
      level,
      is_upsampling=False,
      resampling_fn=self.attention_downsampling_fn,
    )

  def upsample(self, k, level):
    """Returns a layer from the next level to a level, k times as long."""
    return self._resample(
      self.upsampling_fn,
      k,
      level,
      is_upsampling=True,
      resampling_fn=self.attention_upsampling_fn,
    )

  def _resample(self, resampler, k, level, is_upsampling, resampling_fn):
    layer = resampling_layer(
      resampler,
      k,
      self.d_model,
      is_upsampling=is_upsampling,
      d_ff=self.d_ff,
      n_heads=self.n_heads,
      dropout=self.dropout,
      dropout_shared_axes=self.dropout_shared_axes,
      mode=self.mode,
      ff_activation=self.ff_activation,
      context_bias_layer=self.context_bias_layer,
      location_bias_layer=self.location_bias_layer,
      total_pooling=level.total_shorten_factor,
      resampling_fn=resampling_fn,
      max_inference_length=self.max_inference_length,
    )
    return self._rematerialized(layer)

  def _rematerialized(self, layer):
    return Rematerialized(layer) if self.rematerialize else layer

  def check_weights_shared(self, level):
    """Checks that resampling has the same weights for each factor of a level.

    Raises:
      UserError: If it has not.
    """
    long = level.multiple // level.total_shorten_factor

    def weight_shapes(inner):
      k = inner.total_shorten_factor // level.total_shorten_factor
      x = shapes.ShapeDtype((1, long, self.d_model))
      short_x = shapes.ShapeDtype((1, long // k, self.d_model))
      upsample = self.upsample(k, level)
      yield from _weight_shapes(self.shorten(k, level), x)
      yield from _weight_shapes(
        upsample, short_x if upsample.n_in == 1 else (short_x, x)
      )

    if len({tuple(weight_shapes(inner)) for inner in level.inners}) > 1:
      raise UserError(
        f"hierarchy '{level}': got a shortening or upsampling whose weights "
        'depend on the factor, expected parameter-free pooling where training '
        'draws it: average pooling and repeat, alone or inside attention'
      )


def _weight_shapes(layer, input_signature):
  weights, _ = layer.weights_and_state_signature(input_signature)
  return [w.shape for w in tl.flatten_weights_and_state(weights, ())[0]]
