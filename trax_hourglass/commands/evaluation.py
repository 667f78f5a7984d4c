"""Scores of trained models, as gin files configure them."""

import contextlib
import os
from typing import Unpack

import numpy as np
from trax import shapes

from trax_hourglass import outputs
from trax_hourglass.configuration import (
  bindings,
  directories,
  explain,
  trained,
)
from trax_hourglass.data import text as text_lib
from trax_hourglass.distribution import hosts
from trax_hourglass.errors import UserError
from trax_hourglass.evaluation import Score, heatmap
from trax_hourglass.training.checkpoints import load


def evaluate(
  checkpoint: str | None = None,
  *,
  text: str | os.PathLike | None = None,
  per_byte: str | os.PathLike | None = None,
  html: str | os.PathLike | None = None,
  **configuration: Unpack[trained.Configuration],
) -> Score:
  """Returns a trained model's score on the text or images that are bound.

  They are bound to `trax_hourglass.evaluate.text` or
  `trax_hourglass.evaluate_images.images`. Names checkpoint and configuration on
  standard error.

  Args:
    checkpoint: A *.pkl.gz file, or a directory: its newest; or `pretrained`.
    text: A file to score, as a whole, in place of what is bound; as for
      `data.text.text_file`.
    per_byte: A .npy file to write: float32 bits of each byte scored, in order.
    html: A page to write: the text behind its bits, see `evaluation.heatmap`.
    **configuration: As for `trained.configure`.

  Raises:
    UserError: At a user's mistake.
  """
  directories.check_different(text=text, per_byte=per_byte, html=html)
  paths = {'per_byte': per_byte, 'html': html} if hosts.is_first() else {}
  with contextlib.ExitStack() as stack:
    files = {
      name: stack.enter_context(outputs.replacement(path))
      for name, path in paths.items()
      if path is not None
    }
    evaluator, model = _configured(checkpoint, text, configuration)
    if files and evaluator.text is None:
      raise UserError(
        f'{next(iter(files))}: got images to score, expected a text; leave it '
        'out, or give a text'
      )
    scored = evaluator(model)
    if 'per_byte' in files:
      np.save(files['per_byte'], scored.each)
    if 'html' in files:
      title = f'{scored.source}: {scored}'
      page = heatmap.page(evaluator.text.tobytes(), scored.each, title)
      files['html'].write(page.encode())
    return scored


def _configured(checkpoint, text, configuration):
  """Returns the evaluation and the model, and reports where it is from."""
  if text is not None:
    text = text_lib.text_file(text)
  source = trained.configure(checkpoint, **configuration)
  if text is not None:
    for name in ('text', 'split'):
      if source.overrides.binds('trax_hourglass.evaluate', name):
        raise UserError(
          f'text: given beside --config=trax_hourglass.evaluate.{name}, '
          'expected one of them: a file is scored as a whole; leave one out'
        )
  with explain.config_errors():
    evaluator = bindings.evaluator(text)
    if evaluator is None:
      example = (
        'evaluate_images.images = @trax_hourglass.photos32()'
        if source.takes_images
        else 'evaluate.text = @trax_hourglass.wikipedia_sample()'
      )
      raise UserError(
        'neither trax_hourglass.evaluate.text nor trax_hourglass.'
        'evaluate_images.images is bound; give for example '
        f"--config='trax_hourglass.{example}'"
      )
    model = bindings.model('eval')
    tokens = shapes.ShapeDtype(evaluator.batch_shape, np.int32)
    load.load_weights(model, source.checkpoint, tokens)
  if hosts.is_first():
    source.report()
  return evaluator, model
