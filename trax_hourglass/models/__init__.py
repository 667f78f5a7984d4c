"""Models: `Hourglass` on activations, `HourglassLM` on tokens."""

from trax_hourglass.models.hourglass import Hourglass
from trax_hourglass.models.hourglass_lm import HourglassLM

__all__ = ['Hourglass', 'HourglassLM']
