"""The Hourglass (arXiv:2110.13711, Figure 2 and Algorithm 1)."""

from collections.abc import Callable
import dataclasses
import functools
from typing import NamedTuple

from jax import numpy as jnp
from trax import layers as tl
from trax.layers import base

from trax_hourglass import hierarchy as hierarchy_lib
from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.layers.attention.relative import (
  RelativeAttention,
  RelativeBiases,
)
from trax_hourglass.layers.attention.types import attention_layer
from trax_hourglass.layers.basic import LayerNorm, ShiftRight
from trax_hourglass.layers.blocks import DecoderBlock
from trax_hourglass.layers.checks import (
  check_dropout,
  check_functions,
  check_mode,
)
from trax_hourglass.layers.repeated import Rematerialized, Repeated
from trax_hourglass.layers.resampling import (
  AttentionResampling,
  AveragePooling,
  LinearUpsampling,
)
from trax_hourglass.layers.resampling.types import (
  check_resamplers,
  check_weights_alike,
  resampling_layer,
)
from trax_hourglass.layers.shorten_factor_dropout import ShortenFactorDropout
from trax_hourglass.models.cached import CachedValley, Limit
from trax_hourglass.runtime import initialising


def Hourglass(
  d_model=512,
  d_ff=2048,
  vanilla_layers=None,
  hierarchy='6@3',
  n_heads=8,
  dropout=0.1,
  dropout_shared_axes=None,
  mode='train',
  ff_activation=tl.FastGelu,
  vanilla_attn_type=RelativeAttention,
  middle_attn_type=RelativeAttention,
  downsampling_fn=AttentionResampling,
  upsampling_fn=AttentionResampling,
  attention_downsampling_fn=AveragePooling,
  attention_upsampling_fn=LinearUpsampling,
  rematerialize=False,
  max_inference_length=2048,
):
  """Returns a causal layer that maps `(batch, length, d_model)` to that shape.

  Output i depends on inputs up to i. Any length is padded at the end to a
  multiple of the innermost total shorten factor, and cropped: no output before
  the padding sees it. Activations keep the dtype of the input.

  Mode `'predict'` maps the vectors that follow those of earlier calls, cached
  as state at each level. A shortened level runs when a group is complete.

  A LayerNorm follows every stack of blocks and the upsampling, as in the
  published models; the paper does not mention it.

  Args:
    d_model: Width of the activations; even, and a multiple of `n_heads`.
    d_ff: Width inside the feed-forward layers.
    vanilla_layers: (pre, post) blocks at `@1`, for a `hierarchy` that doesn't
      say; `None` is (1, 1) there.
    hierarchy: `'2@1 8@3 2@1'`, or the shortened levels alone: see
      `trax_hourglass.hierarchy.parse`.
    n_heads: Number of attention heads.
    dropout: Share of activations dropped in training, in [0, 1).
    dropout_shared_axes: Axes along which one dropout mask is shared.
    mode: `'train'`, `'eval'` or `'predict'`.
    ff_activation: Function that returns the feed-forward layers' activation.
    vanilla_attn_type: Attention of the blocks at `@1`: `RelativeAttention`, a
      function with its signature, or causal attention of Trax; see
      `trax_hourglass.layers.attention.types`.
    middle_attn_type: Attention of the shortened blocks, likewise.
    downsampling_fn: The shortening, a resampler: see
      `trax_hourglass.layers.resampling`.
    upsampling_fn: The upsampling, a resampler.
    attention_downsampling_fn: S, where `downsampling_fn` is
      `AttentionResampling`: the resampler that makes its queries.
    attention_upsampling_fn: Likewise u in U(x, x') = x + u(x').
    rematerialize: Whether the backward pass recomputes the inside of each block
      and resampler instead of keeping it in memory.
    max_inference_length: Number of vectors that mode `'predict'` has room for;
      every output of a call that goes beyond is NaN.

  Raises:
    UserError: If an argument is out of its range.

  Source: arXiv:2110.13711, Algorithm 1.
  """
  check_mode(mode)
  check_dropout(dropout)
  check_positive(d_ff=d_ff, max_inference_length=max_inference_length)
  check_functions(ff_activation=ff_activation)
  check_resamplers(
    downsampling_fn,
    upsampling_fn,
    attention_downsampling_fn,
    attention_upsampling_fn,
  )
  outermost = hierarchy_lib.parse(hierarchy, vanilla_layers)
  context_bias_layer, location_bias_layer = RelativeBiases(d_model, n_heads)
  parts = _parts(mode, outermost.multiple, rematerialize, max_inference_length)
  levels = Levels(
    vanilla_attn_type=vanilla_attn_type,
    middle_attn_type=middle_attn_type,
    shortening=(downsampling_fn, attention_downsampling_fn),
    upsampling=(upsampling_fn, attention_upsampling_fn),
    general={'d_model': d_model, 'dropout': dropout, 'mode': mode},
    attention={
      'n_heads': n_heads,
      'context_bias_layer': context_bias_layer,
      'location_bias_layer': location_bias_layer,
      'max_inference_length': max_inference_length,
    },
    feed_forward={
      'd_ff': d_ff,
      'dropout_shared_axes': dropout_shared_axes,
      'ff_activation': ff_activation,
    },
    parts=parts,
  )
  return tl.Serial(
    tl.Dup(),  # x, x
    parts.first,
    levels.stack(outermost),
    parts.last,
    name='Hourglass',
  )


class Parts(NamedTuple):
  """The layers for which mode `'predict'` has counterparts."""

  first: base.Layer  # x to x, before the levels.
  last: base.Layer  # (y, x) to y, after the levels.
  valley: Callable  # `Valley` or its counterpart.
  repeat: Callable  # Several blocks to one layer.
  wrap: Callable  # A block or resampler to the layer in its place.


def _parts(mode, multiple, rematerialize, max_inference_length):
  if mode == 'predict':
    limit = Limit(max_inference_length)
    return Parts(
      first=tl.Fn('Unpadded', lambda x: limit.check(x)),
      last=limit,
      valley=CachedValley,
      # A loop would stack, and so copy, weights and caches.
      repeat=functools.partial(tl.Serial, name='Repeated'),
      wrap=lambda layer: layer,
    )
  return Parts(
    first=tl.Fn('PadToMultiple', lambda x: _pad(x, multiple)),
    last=tl.Fn('Crop', lambda y, x: y[:, : x.shape[1]]),
    valley=Valley,
    repeat=functools.partial(Repeated, rematerialize=rematerialize),
    wrap=Rematerialized if rematerialize else lambda layer: layer,
  )


def _pad(x, multiple):
  if x.ndim != 3:
    raise UserError(
      f'Hourglass: got an input of shape {x.shape}, expected (batch, length, '
      'd_model); HourglassLM takes tokens'
    )
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
