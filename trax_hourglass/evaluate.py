"""Scores a trained model: python -m trax_hourglass.evaluate --output_dir=DIR.

Prints bits per byte, with their standard error, on the text that is bound to
`trax_hourglass.evaluate.text`, in whole chunks without context or, with
--config='trax_hourglass.evaluate.step = 128', in overlapping windows; or bits
per dim on the images that are bound to `trax_hourglass.evaluate_images.images`.
--text scores any file in their place. --per_byte writes the bits of each byte,
and --html a page that shows them.

If no --config_file is given, the configuration with which the checkpoint was
trained is used, and named on standard error. It may be a `config.gin` that Trax
wrote for `trax.models.HourglassLM`. --pretrained=NAME takes a trained model
that ships with this package in place of a checkpoint.
"""

from collections.abc import Sequence
import sys

from absl import flags

from trax_hourglass import starting
from trax_hourglass.configuration import checkpoint_flag, command_line, exits

commands = starting.lazy('trax_hourglass.commands')
hosts = starting.lazy('trax_hourglass.distribution.hosts')

for _name in (*command_line.MODEL_FLAGS, *command_line.HOST_FLAGS):
  flags.declare_key_flag(_name)
flags.adopt_module_key_flags(checkpoint_flag)
FLAGS = flags.FLAGS
flags.DEFINE_string('text', None, 'A file to score, compressed or not.')
flags.DEFINE_string(
  'per_byte', None, 'A .npy file for the bits of each byte, float32, in order.'
)
flags.DEFINE_string(
  'html', None, 'A file for a page of the text, coloured by its bits.'
)


@exits.exit_codes()
def main(argv: Sequence[str]) -> None:
  command_line.start(argv, on_hosts=True, check=_check)
  outputs = {name: FLAGS[name].value for name in ('per_byte', 'html')}
  score = commands.evaluate(
    checkpoint_flag.checkpoint(),
    pretrained=FLAGS.pretrained,
    text=FLAGS.text,
    **outputs,
    **command_line.configuration(),
  )
  if hosts.is_first():
    print(score)
    for name, path in outputs.items():
      if path is not None:
        print(f'{name:15}{path}')
  hosts.wait_for_all()


def _check():
  checkpoint_flag.checkpoint()
  command_line.check_pretrained('output_dir')


if __name__ == '__main__':
  main(sys.argv)
