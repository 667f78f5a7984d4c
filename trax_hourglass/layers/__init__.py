"""Layers of the Hourglass: attention, blocks, shortening and upsampling."""

from trax_hourglass.layers.attention.local import LocalAttention
from trax_hourglass.layers.attention.lsh import LSHAttention
from trax_hourglass.layers.attention.relative import (
  RelativeAttention,
  RelativeBiases,
  RelativeCrossAttention,
)
from trax_hourglass.layers.attention.rotary import RotaryAttention
from trax_hourglass.layers.attention.types import attention_layer
from trax_hourglass.layers.blocks import DecoderBlock, FeedForward
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
  'LSHAttention',
  'LinearPooling',
  'LinearUpsampling',
  'LocalAttention',
  'NaiveUpsampling',
  'NoUpsampling',
  'RelativeAttention',
  'RelativeBiases',
  'RelativeCrossAttention',
  'RotaryAttention',
  'attention_layer',
]
