"""Images completed from their upper halves, as in the paper's Figure 8."""

from typing import BinaryIO, NamedTuple

import numpy as np

from trax_hourglass.errors import check_positive
from trax_hourglass.generation.sampler import Sampler


class Completions(NamedTuple):
  """Images, and a model's completions of their upper halves.

  Attributes:
    originals: uint8, `(n, height, width, 3)`.
    completed: uint8, `(n, n_completions, height, width, 3)`.
    bits: Bits per dim of each generated half, `(n, n_completions)`, as in
      `generation.Sample`.
  """

  originals: np.ndarray
  completed: np.ndarray
  bits: np.ndarray

  @property
  def n_given(self) -> int:
    """Rows in the upper halves, rounded down."""
    return self.originals.shape[1] // 2


def complete(
  sampler: Sampler, images: np.ndarray, n_completions: int, **options
) -> Completions:
  """Generates lower halves of images.

  Args:
    sampler: Sampler of a model of sub-pixels, with room for an image.
    images: uint8, `(n, height, width, 3)`.
    n_completions: Completions of each image.
    **options: Temperature, top_k, top_p and seed, as for `Sampler.sample`.

  Raises:
    UserError: If an argument is out of range, or the model has no room for an
      image.
  """
  check_positive(completions=n_completions)
  n, height = images.shape[:2]
  upper = images[:, : height // 2].reshape(n, -1)
  length = images[0].size - upper.shape[1]
  sample = sampler.sample(upper, length, n_samples=n_completions, **options)
  tokens = np.concatenate(
    [np.repeat(upper, n_completions, axis=0), sample.tokens], axis=1
  )
  completed = tokens.astype(np.uint8).reshape(
    n, n_completions, *images.shape[1:]
  )
  return Completions(images, completed, sample.bits.reshape(n, n_completions))


def plot_completions(
  completed: Completions, title: str, file: str | BinaryIO
) -> None:
  """Writes a PNG with a row for each image, as in the paper's Figure 8.

  A row shows the image, its upper half, and its completions with the bits per
  dim of their lower halves.
  """
  from matplotlib import figure  # Which is slow to import.

  n, n_completions = completed.bits.shape
  prompts = completed.originals.copy()
  prompts[:, completed.n_given :] = 128
  picture = figure.Figure(
    figsize=(1.3 * (2 + n_completions), 1.5 * n + 0.4), layout='constrained'
  )
  picture.suptitle(title, fontsize='small')
  grid = picture.subplots(n, 2 + n_completions, squeeze=False)
  for axes, image, prompt, completions, bits in zip(
    grid, completed.originals, prompts, *completed[1:], strict=True
  ):
    captions = ['image', 'upper half', *(f'{x:.3f} bits per dim' for x in bits)]
    for axis, pixels, caption in zip(
      axes, [image, prompt, *completions], captions, strict=True
    ):
      axis.imshow(pixels, interpolation='nearest')
      axis.set_title(caption, fontsize='x-small')
      axis.set_axis_off()
  picture.savefig(file, format='png', dpi=150)
