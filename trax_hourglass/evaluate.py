"""Scores a trained model: python -m trax_hourglass.evaluate --output_dir=DIR.

Prints bits per byte, with its standard error, of `train.model` on the text that
`trax_hourglass.evaluate` is configured with: whole chunks without context, or
with --config='trax_hourglass.evaluate.step = 128' overlapping windows. Where no
--config_file is given, `config.gin` beside the checkpoint is used.
"""

from collections.abc import Sequence
import copy
import os
import sys

from absl import flags
import tensorflow as tf
from trax import trainer_flags

from trax_hourglass import command
from trax_hourglass.errors import UserError
from trax_hourglass.training import checkpoints

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(trainer_flags)
flags.DEFINE_string(
  'checkpoint',
  None,
  'A *.pkl.gz file, or a directory: its newest. By default --output_dir.',
)


@command.exit_codes()
def main(argv: Sequence[str]) -> None:
  command.start(argv)
  path = FLAGS.checkpoint or FLAGS.output_dir
  if not path:
    raise UserError('checkpoint: not given; use --checkpoint or --output_dir')
  path = checkpoints.find_checkpoint(path)
  beside = os.path.join(os.path.dirname(path), 'config.gin')
  if not FLAGS.config_file and tf.io.gfile.exists(beside):
    FLAGS.config_file = [beside]
  command.configure()
  with command.building():
    evaluate = command.evaluator()
    if evaluate is None:
      raise UserError(
        'trax_hourglass.evaluate.text is not bound; give for example --config='
        "'trax_hourglass.evaluate.text = @trax_hourglass.wikipedia_sample()'"
      )
    model = copy.deepcopy(command.bound('train.model'))(mode='eval')
    checkpoints.load_weights(model, path, checkpoints.TOKENS)
  print(evaluate(model))


if __name__ == '__main__':
  main(sys.argv)
