"""Runs a command: python -m trax_hourglass COMMAND [--FLAG=VALUE ...]."""

import ast
from importlib import util
import pathlib
import runpy
import sys

from trax_hourglass import starting
from trax_hourglass.configuration import exits
from trax_hourglass.errors import UserError


def main() -> None:
  """Runs the command that the command line names, or lists all of them."""
  name = sys.argv[1] if len(sys.argv) > 1 else '--help'
  if name in starting.COMMANDS:
    sys.argv[:2] = [f'{sys.argv[0]} {name}']
    runpy.run_module(f'trax_hourglass.{name}', run_name='__main__')
  else:
    _answer(name)


@exits.exit_codes()
def _answer(name):
  if name == '--version':
    print(f'trax_hourglass {sys.modules[__package__].__version__}')
    return
  if name not in ('--help', '-h', 'help'):
    names = ', '.join(starting.COMMANDS)
    raise UserError(f'{name!r} is not a command; give one of {names}')
  print(f'{__doc__}\n')
  for name in starting.COMMANDS:
    print(f'  {name:15}{_summary(name)}')
  print('\nThe flags of each: python -m trax_hourglass COMMAND --help')


def _summary(name):
  """Returns the first words of a command's docstring."""
  path = util.find_spec(f'trax_hourglass.{name}').origin
  tree = ast.parse(pathlib.Path(path).read_text('utf-8'))
  return ast.get_docstring(tree).partition(':')[0] + '.'


if __name__ == '__main__':
  main()
