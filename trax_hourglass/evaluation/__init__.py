"""Bits per byte of texts, bits per dim of images."""

from trax_hourglass.evaluation.bits import Score, caveat, score, score_images
from trax_hourglass.evaluation.likelihood import (
  Likelihood,
  log_likelihood,
  log_probs,
)
from trax_hourglass.evaluation.splits import (
  Evaluation,
  evaluator,
  image_evaluator,
)
