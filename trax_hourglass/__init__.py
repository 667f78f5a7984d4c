"""Hourglass: hierarchical Transformer language models as Trax layers."""

# ruff: noqa: E402 (Trax must not be imported before it is repaired.)
from trax_hourglass import runtime

runtime.apply()

from trax_hourglass import configurables as _configurables
from trax_hourglass.errors import UserError
from trax_hourglass.evaluation import Score, score
from trax_hourglass.layers import (
  AttentionResampling,
  AveragePooling,
  LinearPooling,
  LinearUpsampling,
  NaiveUpsampling,
  NoUpsampling,
  RelativeAttention,
)
from trax_hourglass.models import Hourglass, HourglassLM

__version__ = '0.1.0'

__all__ = [
  'AttentionResampling',
  'AveragePooling',
  'Hourglass',
  'HourglassLM',
  'LinearPooling',
  'LinearUpsampling',
  'NaiveUpsampling',
  'NoUpsampling',
  'RelativeAttention',
  'Score',
  'UserError',
  'score',
]
