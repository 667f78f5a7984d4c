"""Scores of trained models, as gin files configure them."""

from typing import Unpack

import numpy as np
from trax import shapes

from trax_hourglass.configuration import bindings, explain, reading, trained
from trax_hourglass.distribution import hosts
from trax_hourglass.errors import UserError
from trax_hourglass.evaluation import Score
from trax_hourglass.training.checkpoints import load


def evaluate(
  checkpoint: str, **configuration: Unpack[reading.Configuration]
) -> Score:
  """Returns a trained model's score on the text or images that are bound.

  They are bound to `trax_hourglass.evaluate.text` or
  `trax_hourglass.evaluate_images.images`. Names checkpoint and configuration on
  standard error.

  Args:
    checkpoint: A *.pkl.gz file, or a directory: its newest.
    **configuration: As for `trained.configure`.

  Raises:
    UserError: At a user's mistake.
  """
  source = trained.configure(checkpoint, **configuration)
  with explain.config_errors():
    evaluator = bindings.evaluator()
    if evaluator is None:
      raise UserError(
        'neither trax_hourglass.evaluate.text nor trax_hourglass.'
        'evaluate_images.images is bound; give for example --config='
        "'trax_hourglass.evaluate.text = @trax_hourglass.wikipedia_sample()'"
      )
    model = bindings.model('eval')
    tokens = shapes.ShapeDtype(evaluator.batch_shape, np.int32)
    load.load_weights(model, source.checkpoint, tokens)
  if hosts.is_first():
    source.report()
  return evaluator(model)
