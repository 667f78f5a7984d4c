"""Lower halves of images, generated after the upper halves (Figure 8)."""

from typing import NamedTuple

import numpy as np

from trax_hourglass.errors import check_positive
from trax_hourglass.generation import Sampler


class Completions(NamedTuple):
  """Images, and what a model makes of their upper halves.

  Attributes:
    originals: uint8, `(n, height, width, 3)`.
    completed: uint8, `(n, n_completions, height, width, 3)`.
    bits: Bits per dim of each generated half, `(n, n_completions)`, under the
      model itself, as in `generation.Sample`.
  """

  originals: np.ndarray
  completed: np.ndarray
  bits: np.ndarray

  @property
  def n_given(self) -> int:
    """How many rows of an image the model was given."""
    return given_rows(self.originals)


def given_rows(images: np.ndarray) -> int:
  """Returns how many rows make the upper half, of an odd number the fewer."""
  return images.shape[1] // 2


def complete(
  sampler: Sampler, images: np.ndarray, n_completions: int, **how
) -> Completions:
  """Returns images with several lower halves for each upper half.

  Args:
    sampler: Of a model of sub-pixels, with room for an image.
    images: uint8, `(n, height, width, 3)`.
    n_completions: How many halves for each.
    **how: Temperature, top_k, top_p and seed, as for `Sampler.sample`.

  Raises:
    UserError: If an argument is out of its range, or an image finds no room.
  """
  check_positive(completions=n_completions)
  n = len(images)
  upper = images[:, : given_rows(images)].reshape(n, -1)
  length = images[0].size - upper.shape[1]
  sample = sampler.sample(upper, length, n_samples=n_completions, **how)
  tokens = np.concatenate(
    [np.repeat(upper, n_completions, axis=0), sample.tokens], axis=1
  )
  completed = tokens.astype(np.uint8).reshape(
    n, n_completions, *images.shape[1:]
  )
  return Completions(images, completed, sample.bits.reshape(n, n_completions))
