"""What the tests of commands share."""

from pathlib import Path

from absl import flags
import pytest

from trax_hourglass import commands, train
from trax_hourglass.configuration import command_line

TINY = Path(__file__).parent / 'tiny.gin'


def arguments(text, output_dir, *config):
  """Returns the command line that trains the tiny model on a text."""
  bindings = (f"trax_hourglass.text_file.path = '{text}'", *config)
  return [
    'train',
    f'--config_file={TINY}',
    f'--output_dir={output_dir}',
    *(f'--config={binding}' for binding in bindings),
  ]


def run_of(argv) -> commands.Run:
  """Trains as a command line says, and returns the finished run."""
  command_line.start(argv)
  return commands.train(
    flags.FLAGS.output_dir,
    init_checkpoint=flags.FLAGS.init_checkpoint,
    **command_line.configuration(),
  )


def fails(capsys, argv, *, code=2, main=train.main) -> str:
  """Returns the one line that a command prints when it gives up."""
  with pytest.raises(SystemExit) as exit_info:
    main(argv)
  assert exit_info.value.code == code
  (line,) = capsys.readouterr().err.strip().splitlines()
  return line
