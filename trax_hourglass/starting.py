"""The start of a command, before JAX, Trax and TensorFlow are imported.

`python -m trax_hourglass.train` imports the package first, which takes seconds.
While a command starts the package is therefore left empty: the command reads
its flags, checks what needs no model, and then loads the package. Until then
nothing is written, so that a signal may end the process.
"""

from collections.abc import Iterator
import contextlib
import importlib
from importlib import util
import os
import signal
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
_stderr = 2


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


def begin() -> None:
  """Lets Ctrl-C end the process, for as long as the package is empty."""
  global _stderr
  with contextlib.suppress(OSError):  # It is closed.
    _stderr = os.dup(2)  # Trax is imported with standard error redirected.
  if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _end)


def load() -> None:
  """Imports the package as any other process does; once."""
  global _is_loaded
  if not _is_loaded:
    _is_loaded = True
    package = sys.modules['trax_hourglass']
    if not hasattr(package, 'HourglassLM'):
      with _ended_by_signals():
        importlib.reload(package)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
  """Lets signals end the process in the body; afterwards, Ctrl-C raises again.

  An exception that is raised while an extension module is imported, as JAX's
  are, crashes the process or is lost.
  """
  handlers = {
    signum: signal.signal(signum, _end)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    if callable(signal.getsignal(signum))
  }
  try:
    yield
  finally:
    for signum, handler in handlers.items():
      is_ours = handler is _end
      signal.signal(signum, signal.default_int_handler if is_ours else handler)


def _end(signum, frame):
  with contextlib.suppress(OSError):
    os.write(_stderr, b'\ninterrupted\n')
  os._exit(128 + signum)


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
