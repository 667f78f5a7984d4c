"""Exports a trained model: python -m trax_hourglass.export.

Writes the weights by name, and the model's arguments, to a safetensors file,
which `trax_hourglass.load_safetensors` and other programs read. A file that is
there is replaced.

  python -m trax_hourglass.export --output_dir=DIR --file=model.safetensors

--folder writes the file to a folder, with the model's configuration beside it,
which the other commands and other people take as --pretrained=FOLDER.

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
_READ_FLAGS = ('init_checkpoint', 'output_dir', 'pretrained')
for _name in (*command_line.CONFIGURATION_FLAGS, *_READ_FLAGS):
  flags.declare_key_flag(_name)
flags.adopt_module_key_flags(checkpoint_flag)
flags.DEFINE_string('file', None, 'The safetensors file to write.')
flags.DEFINE_string(
  'folder', None, 'In place of --file, a folder for it and its gin file.'
)
flags.DEFINE_enum(
  'dtype',
  'float32',
  ['float32', 'bfloat16'],
  'The type to which weights are rounded.',
)


@exits.exit_codes()
def main(argv: Sequence[str]) -> None:
  command_line.start(argv, check=checkpoint_flag.checkpoint)
  command_line.check_used(
    *command_line.CONFIGURATION_FLAGS, *_READ_FLAGS, 'log_level'
  )
  command_line.check_one('file', 'folder')
  if not FLAGS.file and not FLAGS.folder:
    raise UserError(
      '--file: not given, expected where to write, as --file=model.safetensors'
    )
  path = commands.export(
    checkpoint_flag.checkpoint(),
    FLAGS.file,
    pretrained=FLAGS.pretrained,
    folder=FLAGS.folder,
    dtype=FLAGS.dtype,
    **command_line.configuration(),
  )
  print(f'{"file":15}{path}, {os.path.getsize(path):,} bytes')


if __name__ == '__main__':
  main(sys.argv)
