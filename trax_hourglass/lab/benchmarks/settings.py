"""Sizes and names of what is measured, known before JAX is imported."""

from typing import NamedTuple

from trax_hourglass import hierarchy as hierarchy_lib
from trax_hourglass.errors import UserError

OURS = 'trax_hourglass'
BASELINE = 'Transformer-XL'
THEIRS = 'trax.models'
PYTORCH = 'hourglass-transformer-pytorch'
MODELS = (OURS, BASELINE, THEIRS, PYTORCH)
WORKS = ('step', 'gradient', 'forward')


class Settings(NamedTuple):
  """Sizes of the models, and of the batches that they are measured on.

  Attributes:
    length: Tokens in a sequence; the authors' model may not take it.
    d_model: Width of the activations; d_ff is four times that.
    hierarchy: The levels of both Hourglass models.
    baseline: The levels of the Transformer-XL.
    batch_size: Sequences in a batch.
    n_heads: Number of attention heads.
  """

  length: int
  d_model: int = 512
  hierarchy: str = '2@1 8@4 2@1'
  baseline: str = '12@1'
  batch_size: int = 1
  n_heads: int = 8

  def check(self) -> None:
    """Raises `UserError` if there are no such models."""
    from trax_hourglass.layers import checks

    checks.check_heads(self.d_model, self.n_heads)
    hierarchy_lib.parse(self.hierarchy)
    if hierarchy_lib.parse(self.baseline).inners:
      raise UserError(
        f'--baseline: got {self.baseline!r}, expected the blocks of a '
        'Transformer-XL, which shortens nothing, such as 12@1'
      )
