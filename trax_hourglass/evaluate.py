"""Scores a trained model: python -m trax_hourglass.evaluate --output_dir=DIR.

Prints bits per byte, with its standard error, of `train.model` on the text that
`trax_hourglass.evaluate` is configured with: whole chunks without context, or
with --config='trax_hourglass.evaluate.step = 128' overlapping windows. Or bits
per dim on the images that `trax_hourglass.evaluate_images` is configured with.

If no --config_file is given, the configuration that the checkpoint was trained
with is used, and named on standard error. It may be a `config.gin` that Trax
wrote for `trax.models.HourglassLM`.
"""

from collections.abc import Sequence
import sys

from absl import flags
import numpy as np
from trax import shapes, trainer_flags

from trax_hourglass.configuration import (
  bindings,
  command_line,
  exits,
  explain,
  trained,
)
from trax_hourglass.distribution import hosts
from trax_hourglass.errors import UserError
from trax_hourglass.evaluation import Score
from trax_hourglass.training.checkpoints import load

flags.adopt_module_key_flags(trainer_flags)
flags.adopt_module_key_flags(trained)


@exits.exit_codes()
def main(argv: Sequence[str]) -> None:
  evaluate, model, source = _read(argv)
  if hosts.is_first():
    source.report()
  score = evaluate(model)
  if hosts.is_first():
    print(score)
  hosts.wait_for_all()


def run(argv: Sequence[str]) -> Score:
  """Returns what the command prints; takes its command line.

  Raises:
    UserError: At a user's mistake.
  """
  evaluate, model, _ = _read(argv)
  return evaluate(model)


def _read(argv):
  """Returns the evaluation, the model, and the source of the model."""
  command_line.start(argv, on_hosts=True)
  source = trained.configure()
  with explain.config_errors():
    evaluate = bindings.evaluator()
    if evaluate is None:
      raise UserError(
        'neither trax_hourglass.evaluate.text nor trax_hourglass.'
        'evaluate_images.images is bound; give for example --config='
        "'trax_hourglass.evaluate.text = @trax_hourglass.wikipedia_sample()'"
      )
    model = bindings.model('eval')
    tokens = shapes.ShapeDtype(evaluate.batch_shape, np.int32)
    load.load_weights(model, source.checkpoint, tokens)
  return evaluate, model, source


if __name__ == '__main__':
  main(sys.argv)
