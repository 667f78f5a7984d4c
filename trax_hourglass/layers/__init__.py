"""Layers of the Hourglass: attention, blocks, shortening and upsampling."""

from trax_hourglass.layers.blocks import DecoderBlock, FeedForward
from trax_hourglass.layers.relative_attention import (
  RelativeAttention,
  RelativeBiases,
  RelativeCrossAttention,
)
from trax_hourglass.layers.resampling import (
  AttentionResampling,
  AveragePooling,
  LinearPooling,
  LinearUpsampling,
  NaiveUpsampling,
  NoUpsampling,
)

__all__ = [
  'AttentionResampling',
  'AveragePooling',
  'DecoderBlock',
  'FeedForward',
  'LinearPooling',
  'LinearUpsampling',
  'NaiveUpsampling',
  'NoUpsampling',
  'RelativeAttention',
  'RelativeBiases',
  'RelativeCrossAttention',
]
