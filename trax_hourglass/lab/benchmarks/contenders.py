"""The models that are measured side by side."""

from collections.abc import Callable

import trax

from trax_hourglass import hierarchy as hierarchy_lib
from trax_hourglass.errors import UserError
from trax_hourglass.models import HourglassLM

VOCAB_SIZE = 256
OURS = 'trax_hourglass'
BASELINE = 'Transformer-XL'
THEIRS = 'trax.models'


def contenders(
  *,
  hierarchy: str,
  baseline: str,
  length: int,
  d_model: int,
  n_heads: int,
  dropout: float,
  rematerialize: bool = False,
) -> dict[str, Callable]:
  """Returns a function from a mode to the model, by the model's name.

  Args:
    hierarchy: The levels of both Hourglass models.
    baseline: The levels of the Transformer-XL.
    length: Tokens in a sequence; the authors' model may not take it.
    d_model: Width of the activations; d_ff is four times that.
    n_heads: Number of attention heads.
    dropout: Share of activations dropped in training.
    rematerialize: Whether ours, and the baseline, trade time for memory.
  """
  arguments = {
    'vocab_size': VOCAB_SIZE,
    'd_model': d_model,
    'd_ff': 4 * d_model,
    'n_heads': n_heads,
    'dropout': dropout,
  }

  def ours(levels):
    return lambda mode: HourglassLM(
      hierarchy=levels, mode=mode, rematerialize=rematerialize, **arguments
    )

  named = {OURS: ours(hierarchy), f'{BASELINE} {baseline}': ours(baseline)}
  level = hierarchy_lib.parse(hierarchy)
  vanilla_layers = level.n_pre, level.n_post
  inner = ' '.join(str(level).split()[1:-1])
  if _is_of_trax(level, vanilla_layers, inner, length):
    named[THEIRS] = lambda mode: trax.models.HourglassLM(
      vanilla_layers=vanilla_layers, hierarchy=inner, mode=mode, **arguments
    )
  return named


def _is_of_trax(level, vanilla_layers, inner, length):
  """Returns whether the authors' model can be had, and takes the length."""
  if length % level.multiple or len(level.inners) != 1:
    return False
  try:
    return hierarchy_lib.parse(inner, vanilla_layers) == level
  except UserError:
    return False
