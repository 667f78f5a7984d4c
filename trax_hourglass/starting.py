"""The start of a command, before JAX, Trax and TensorFlow are imported.

`python -m trax_hourglass.train` imports the package first, which takes seconds.
While a command starts the package is therefore left empty: the command reads
its flags, checks what needs no model, and then loads the package.
"""

import importlib
from importlib import util
import os
import sys

COMMANDS = (
  'train',
  'evaluate',
  'generate',
  'export',
  'plot_schedule',
  'memory',
  'benchmark',
  'reproduce',
)
_is_loaded = False


def is_starting() -> bool:
  """Returns whether this process runs a command that has not loaded yet."""
  if _is_loaded:
    return False
  program = os.path.basename(sys.argv[0]) if sys.argv else ''
  if program == 'trax-hourglass':
    return True
  names = {f'trax_hourglass.{name}' for name in ('__main__', *COMMANDS)}
  names.add('trax_hourglass')
  # While Python looks for the module of `-m`, that is the program's name.
  # Options may stand in one word, as in `python -um MODULE`.
  return program == '-m' and not names.isdisjoint(sys.orig_argv)


def load() -> None:
  """Imports the package as any other process does; once."""
  global _is_loaded
  if not _is_loaded:
    _is_loaded = True
    package = sys.modules['trax_hourglass']
    if not hasattr(package, 'HourglassLM'):
      importlib.reload(package)


def lazy(name: str):
  """Returns a module that is imported when something of it is used.

  The recipe is that of Python's documentation of `importlib`. For modules whose
  packages import nothing themselves.
  """
  if name not in sys.modules:
    spec = util.find_spec(name)
    spec.loader = loader = util.LazyLoader(spec.loader)
    sys.modules[name] = module = util.module_from_spec(spec)
    loader.exec_module(module)
  return sys.modules[name]


def trainer_flags():
  """Returns `trax.trainer_flags`, without importing the package around it."""
  name = 'trax.trainer_flags'
  if name not in sys.modules:
    folder = os.path.dirname(util.find_spec('trax').origin)
    path = os.path.join(folder, 'trainer_flags.py')
    spec = util.spec_from_file_location(name, path)
    sys.modules[name] = module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
  return sys.modules[name]
