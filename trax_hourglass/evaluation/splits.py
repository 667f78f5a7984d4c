"""Evaluations of one split of a text or of a set of images."""

from collections.abc import Callable
import dataclasses

import numpy as np
import tqdm
from trax.layers import base

from trax_hourglass.data import images as images_lib
from trax_hourglass.data import streams, windows
from trax_hourglass.data import text as text_lib
from trax_hourglass.data.documents import Documents
from trax_hourglass.distribution import hosts
from trax_hourglass.errors import check_positive
from trax_hourglass.evaluation.bits import Score, score, score_images


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """A text or images to score models on, by calling it with a model.

  Attributes:
    score: Function from a model to its `Score`.
    batch_shape: Shape of a batch of tokens, `(batch, length)`. Models of Trax
      may have to be initialised with it; ours take any.
    text: The bytes to score; `None` for images.
  """

  score: Callable[[base.Layer], Score]
  batch_shape: tuple[int, int]
  text: np.ndarray | None = None

  def __call__(self, model) -> Score:
    return self.score(model)


def evaluator(
  text: text_lib.Text | Documents,
  split: str | None = 'test',
  length: int = 2048,
  step: int | None = None,
  batch_size: int = 8,
  n_bytes: int | None = None,
) -> Evaluation:
  """Returns an `Evaluation` of a text or documents, with a progress bar.

  In gin files it is `trax_hourglass.evaluate`.

  Args:
    text: The text with its splits, or documents, each of which is scored alone.
    split: Which of them to score; `None` is the whole text.
    length: Bytes in a window.
    step: Bytes scored at the end of each window, as for `score`.
    batch_size: Windows in a batch.
    n_bytes: Number of bytes to score from the start; by default all.

  Raises:
    UserError: If there is no such split or the sizes don't fit together.
  """
  if n_bytes is not None:
    check_positive(n_bytes=n_bytes)
  edges = None
  if isinstance(text, Documents):
    tokens, edges = text.joined(split, n_bytes)
  else:
    text_lib.check_text(text)
    names = streams.SPLITS if split is None else (split,)
    parts = [text.split(name)[:n_bytes] for name in names]
    tokens = parts[0] if split else np.concatenate(parts)[:n_bytes]
  windows.scoring_windows(tokens, length, step, batch_size)  # Checks sizes.
  source = text.name if split is None else f'{text.name}, {split} split'

  def score_split(model):
    with _bar(source, len(tokens), 'B') as bar:
      scored = score(model, tokens, length, step, batch_size, bar, edges)
    return dataclasses.replace(scored, source=source)

  return Evaluation(score_split, (batch_size, length), tokens)


def image_evaluator(
  images: images_lib.Images,
  split: str = 'validation',
  batch_size: int = 8,
  n_images: int | None = None,
) -> Evaluation:
  """Returns an `Evaluation` of all images of a split, with a progress bar.

  In gin files it is `trax_hourglass.evaluate_images`.

  Args:
    images: The images with their splits.
    split: Which of them to score.
    batch_size: Images in a batch.
    n_images: Number of images to score from the start; by default all.

  Raises:
    UserError: If there is no such split, or a size is not positive.
  """
  images_lib.check_images(images)
  check_positive(batch_size=batch_size)
  if n_images is not None:
    check_positive(n_images=n_images)
  chosen = images.split(split)[:n_images]
  source = f'{images.name}, {split} split'

  def score_split(model):
    with _bar(source, len(chosen), ' images') as bar:
      scored = score_images(model, chosen, batch_size, source, bar)
    return dataclasses.replace(scored, source=source)

  return Evaluation(score_split, (batch_size, chosen[0].size))


def _bar(name, total, unit):
  """Returns a progress bar, hidden unless stderr is a terminal."""
  return tqdm.tqdm(
    total=total,
    desc=name,
    unit=unit,
    unit_scale=True,
    disable=None if hosts.is_first() else True,
  )
