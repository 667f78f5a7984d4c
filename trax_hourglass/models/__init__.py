"""Models: `Hourglass` on activations, `HourglassLM` on tokens."""

from trax_hourglass.models.hourglass import Hourglass
from trax_hourglass.models.hourglass_lm import HourglassLM
from trax_hourglass.models.names import named_weights, set_named_weights

__all__ = ['Hourglass', 'HourglassLM', 'named_weights', 'set_named_weights']
