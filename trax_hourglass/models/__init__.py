"""Models: `Hourglass` on activations, `HourglassLM` on tokens."""

from trax_hourglass.models.hourglass import Hourglass, HourglassLM

__all__ = ['Hourglass', 'HourglassLM']
