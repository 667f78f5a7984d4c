"""The levels of an Hourglass, one inside the other (Algorithm 1)."""

from collections.abc import Callable
import dataclasses
import functools
from typing import NamedTuple

from jax import numpy as jnp
from trax import layers as tl
from trax.layers import base

from trax_hourglass.errors import UserError
from trax_hourglass.layers.attention.types import attention_layer
from trax_hourglass.layers.basic import LayerNorm, ShiftRight, float_type
from trax_hourglass.layers.blocks import DecoderBlock
from trax_hourglass.layers.repeated import Rematerialized, Repeated
from trax_hourglass.layers.resampling.types import (
  check_weights_alike,
  resampling_layer,
)
from trax_hourglass.layers.shorten_factor_dropout import ShortenFactorDropout
from trax_hourglass.models.cached import CachedValley, Limit
from trax_hourglass.runtime import initialising


class Parts(NamedTuple):
  """The layers for which mode `'predict'` has counterparts."""

  first: base.Layer  # x to x, before the levels.
  last: base.Layer  # (y, x) to y, after the levels.
  valley: Callable  # `Valley` or its counterpart.
  repeat: Callable  # Several blocks to one layer.
  wrap: Callable  # A block or resampler to the layer in its place.


def parts_of(mode, d_model, multiple, rematerialize, max_inference_length):
  """Returns the `Parts` of a mode.

  `multiple` is that of padded lengths; all other arguments are those of
  `Hourglass`.
  """
  if mode == 'predict':
    limit = Limit(max_inference_length)
    return Parts(
      first=tl.Fn('Unpadded', lambda x: limit.check(_floats(x, d_model))),
      last=limit,
      valley=CachedValley,
      # A loop would stack, and so copy, weights and caches.
      repeat=functools.partial(tl.Serial, name='Repeated'),
      wrap=lambda layer: layer,
    )
  return Parts(
    first=tl.Fn('PadToMultiple', lambda x: _pad(_floats(x, d_model), multiple)),
    last=tl.Fn('Crop', lambda y, x: y[:, : x.shape[1]]),
    valley=Valley,
    repeat=functools.partial(Repeated, rematerialize=rematerialize),
    wrap=Rematerialized if rematerialize else lambda layer: layer,
  )


def _floats(x, d_model):
  """Returns activations as floats; raises `UserError` for another shape."""
  if x.ndim != 3 or x.shape[2] != d_model:
    raise UserError(
      f'Hourglass: got an input of shape {x.shape}, expected (batch, length, '
      f'{d_model}), where {d_model} is d_model; HourglassLM takes tokens'
    )
  return jnp.asarray(x, float_type(x))


def _pad(x, multiple):
  length = x.shape[1]
  n_groups = -(-max(length, 1) // multiple)  # Attention needs a key.
  return jnp.pad(x, [(0, 0), (0, n_groups * multiple - length), (0, 0)])


def Valley(shorten_factor, shorten, inner, upsample, norm, total_pooling):
  """Returns the layers between the vanilla layers of Algorithm 1.

  Arguments and shapes are those of `CachedValley`.
  """
  return tl.Serial(
    ShiftRight(shorten_factor - 1, total_pooling),
    shorten,
    inner,  # x', x
    upsample,
    norm,
    name='Valley',
  )


@dataclasses.dataclass(frozen=True)
class Levels:
  """Builds the levels of an Hourglass, from the outermost one inwards.

  `stack` is HOURGLASS in Algorithm 1. A `level` is a `hierarchy.Level`.

  Attributes:
    shortening: A resampler, and the one that makes the queries of attention.
    upsampling: Like `shortening`.
    general: Keywords of attention types, blocks and resamplers.
    attention: Further keywords of attention types and resamplers.
    feed_forward: Further keywords of blocks and resamplers.
    first_blocks: The first block of each level, by its total shorten factor.
  """

  vanilla_attn_type: Callable
  middle_attn_type: Callable
  shortening: tuple[Callable, Callable]
  upsampling: tuple[Callable, Callable]
  general: dict
  attention: dict
  feed_forward: dict
  parts: Parts
  first_blocks: dict = dataclasses.field(default_factory=dict)

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
    check_weights_alike(
      f"hierarchy '{level}'",
      self.general['d_model'],
      [
        (k, self.shorten(k, level), self.upsample(k, level))
        for k in map(level.shorten_factor, level.inners)
      ],
    )
    return ShortenFactorDropout(valleys, self.general['mode'])

  def valley(self, level, inner):
    """Returns shift, shortening, the shorter level and upsampling."""
    k = level.shorten_factor(inner)
    return self.parts.valley(
      k,
      self.shorten(k, level),
      self.stack(inner),
      self.upsample(k, level),
      LayerNorm(),
      total_pooling=level.total_shorten_factor,
    )

  def blocks(self, n_layers, level):
    """Returns blocks and the norm that follows them."""
    blocks = [self.block(level) for _ in range(n_layers)]
    if n_layers > 1:
      blocks = self.parts.repeat(blocks)
    else:
      blocks = [self.parts.wrap(block) for block in blocks]
    name = f'Blocks_{n_layers}@{level.total_shorten_factor}'
    return tl.Serial(blocks, LayerNorm(), name=name)

  def block(self, level):
    """Returns one Transformer block, traced with all others of the level."""
    factor = level.total_shorten_factor
    attention = attention_layer(
      self.vanilla_attn_type if factor == 1 else self.middle_attn_type,
      total_pooling=factor,
      **self.general,
      **self.attention,
    )
    block = DecoderBlock(attention, **self.general, **self.feed_forward)
    initialising.infer_shapes_together(
      self.first_blocks.setdefault(factor, block), block
    )
    return block

  def shorten(self, k, level):
    """Returns a layer that shortens the vectors of a level k times."""
    return self._resample(*self.shortening, k, level, is_upsampling=False)

  def upsample(self, k, level):
    """Returns a layer from the next level to a level, k times as long."""
    return self._resample(*self.upsampling, k, level, is_upsampling=True)

  def _resample(self, resampler, resampling_fn, k, level, is_upsampling):
    layer = resampling_layer(
      resampler,
      k,
      is_upsampling=is_upsampling,
      resampling_fn=resampling_fn,
      total_pooling=level.total_shorten_factor,
      **self.general,
      **self.attention,
      **self.feed_forward,
    )
    return self.parts.wrap(layer)
