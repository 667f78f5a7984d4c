"""The models that are measured side by side."""

from collections.abc import Callable
from typing import NamedTuple

import trax

from trax_hourglass import hierarchy as hierarchy_lib
from trax_hourglass.errors import UserError
from trax_hourglass.lab.benchmarks.settings import (
  BASELINE,
  OURS,
  THEIRS,
  Settings,
)
from trax_hourglass.models import HourglassLM

VOCAB_SIZE = 256


class Contender(NamedTuple):
  """A model that is measured.

  Attributes:
    model: `OURS`, `BASELINE` or `THEIRS`.
    name: The name in reports, with the baseline's levels.
    build: Function from a mode to the model.
  """

  model: str
  name: str
  build: Callable


def contenders(
  settings: Settings, *, dropout: float, **options
) -> list[Contender]:
  """Returns the models; the authors' only if it has such levels and length.

  Args:
    settings: Their sizes.
    dropout: Share of activations dropped in training.
    **options: Further arguments of ours and of the baseline.
  """
  arguments = {
    'vocab_size': VOCAB_SIZE,
    'd_model': settings.d_model,
    'd_ff': 4 * settings.d_model,
    'n_heads': settings.n_heads,
    'dropout': dropout,
  }

  def ours(levels):
    return lambda mode: HourglassLM(
      hierarchy=levels, mode=mode, **arguments, **options
    )

  found = [
    Contender(OURS, OURS, ours(settings.hierarchy)),
    Contender(
      BASELINE, f'{BASELINE} {settings.baseline}', ours(settings.baseline)
    ),
  ]
  level = hierarchy_lib.parse(settings.hierarchy)
  vanilla_layers = level.n_pre, level.n_post
  inner = ' '.join(str(level).split()[1:-1])
  if _trax_has(level, vanilla_layers, inner, settings.length):
    found.append(
      Contender(
        THEIRS,
        THEIRS,
        lambda mode: trax.models.HourglassLM(
          vanilla_layers=vanilla_layers, hierarchy=inner, mode=mode, **arguments
        ),
      )
    )
  return found


def _trax_has(level, vanilla_layers, inner, length):
  """Returns whether Trax's model has these levels and takes the length."""
  if length % level.multiple or len(level.inners) != 1:
    return False
  try:
    return hierarchy_lib.parse(inner, vanilla_layers) == level
  except UserError:
    return False
