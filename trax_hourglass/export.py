"""Exports a trained model: python -m trax_hourglass.export.

Writes the weights by name, and the model's arguments, to a safetensors file,
which `trax_hourglass.load_safetensors` makes a model of, and which other
programs read. A file that is there is replaced.

  python -m trax_hourglass.export --output_dir=DIR --file=model.safetensors

If no --config_file is given, the configuration with which the checkpoint was
trained is used, and named on standard error.
"""

from collections.abc import Sequence
import os
import sys

from absl import flags

from trax_hourglass import starting
from trax_hourglass.configuration import checkpoint_flag, command_line, exits
from trax_hourglass.errors import UserError

commands = starting.lazy('trax_hourglass.commands')

FLAGS = flags.FLAGS
for _name in (*command_line.CONFIGURATION_FLAGS, 'output_dir'):
  flags.declare_key_flag(_name)
flags.adopt_module_key_flags(checkpoint_flag)
flags.DEFINE_string('file', None, 'The safetensors file to write.')


@exits.exit_codes()
def main(argv: Sequence[str]) -> None:
  command_line.start(argv, check=checkpoint_flag.checkpoint)
  command_line.check_used(
    *command_line.CONFIGURATION_FLAGS,
    'init_checkpoint',
    'log_level',
    'output_dir',
  )
  if not FLAGS.file:
    raise UserError(
      '--file: not given, expected where to write, as --file=model.safetensors'
    )
  commands.export(
    checkpoint_flag.checkpoint(), FLAGS.file, **command_line.configuration()
  )
  size = os.path.getsize(os.path.expanduser(FLAGS.file))
  print(f'{"file":15}{FLAGS.file}, {size:,} bytes')


if __name__ == '__main__':
  main(sys.argv)
