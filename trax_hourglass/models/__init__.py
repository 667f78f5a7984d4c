"""Models: `Hourglass` on activations, `HourglassLM` on tokens."""

from trax_hourglass.models.hourglass import Hourglass
from trax_hourglass.models.hourglass_lm import HourglassLM
from trax_hourglass.models.names import named_weights, set_named_weights
from trax_hourglass.models.safetensors_files import (
  load_safetensors,
  pretrained,
  save_safetensors,
)

__all__ = [
  'Hourglass',
  'HourglassLM',
  'load_safetensors',
  'named_weights',
  'pretrained',
  'save_safetensors',
  'set_named_weights',
]
