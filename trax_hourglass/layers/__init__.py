"""Layers of the Hourglass: attention, blocks, shortening and upsampling."""

from trax_hourglass.layers.attention_types import attention_layer
from trax_hourglass.layers.blocks import DecoderBlock, FeedForward
from trax_hourglass.layers.local_attention import LocalAttention
from trax_hourglass.layers.lsh import LSHAttention
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
from trax_hourglass.layers.rotary import RotaryAttention

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
