"""The form of a case, and the words that many cases share."""

from typing import NamedTuple

from tests.commands import TINY


class Case(NamedTuple):
  """A command that fails.

  Attributes:
    command: The module's name in `trax_hourglass`.
    arguments: One, or several. A binding of gin needs no `--config=`.
    mistake: Part of the line that names it.
    remedy: Part of the line that says what was expected, or what to do.
    alone: Whether the usual arguments are left out.
    environment: Variables that are set.
  """

  command: str
  arguments: str | tuple[str, ...]
  mistake: str
  remedy: str
  alone: bool = False
  environment: dict[str, str] | None = None

  def argv(self) -> list[str]:
    """Returns the command line, `$NAME` in it."""
    given = self.arguments
    given = (given,) if isinstance(given, str) else given
    usual = () if self.alone else USUAL[self.command]
    return [self.command, *usual, *map(_flag, given)]


def _flag(argument):
  is_binding = ' = ' in argument and not argument.startswith('--')
  return f'--config={argument}' if is_binding else argument


USUAL = {
  'train': (
    f'--config_file={TINY}',
    '--output_dir=$new/run',
    "--config=trax_hourglass.text_file.path = '$text'",
  ),
  'evaluate': ('--output_dir=$run',),
  'generate': ('--output_dir=$run',),
  'export': ('--output_dir=$run', '--file=$new.safetensors'),
  'benchmark': (
    '--length=8',
    '--d_model=8',
    '--n_heads=2',
    '--hierarchy=1@1',
    '--baseline=1@1',
    '--dropout=0',
    '--output_dir=$new/benchmark',
  ),
  'memory': (f'--config_file={TINY}',),
  'plot_schedule': (f'--config_file={TINY}', '--output=$new.png'),
  'reproduce': ('--output_dir=$new/results',),
}

MODEL = 'trax_hourglass.HourglassLM'
TEXTS = 'trax_hourglass.text_inputs'
WHOLE = 'expected a whole number of at least 1'
FLAGS = '--help lists the flags'
LEAVE = 'leave it out'
