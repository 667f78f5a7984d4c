"""Lower halves of images, generated after the upper halves (Figure 8)."""

from typing import NamedTuple

from matplotlib import figure
import numpy as np
import tensorflow as tf

from trax_hourglass.errors import check_positive
from trax_hourglass.generation.sampler import Sampler


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


def plot_completions(completed: Completions, title: str, path: str) -> None:
  """Writes a PNG: a row for each image, as in the paper's Figure 8.

  The image, its upper half, and what it was completed to, with the bits per dim
  of the generated half.
  """
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
  with tf.io.gfile.GFile(path, 'wb') as f:
    picture.savefig(f, format='png', dpi=150)
