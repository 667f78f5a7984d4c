"""Commands in processes forked by one that has imported their libraries."""

import multiprocessing
import os
import runpy
import sys

_PRELOADED = ['tests.forked_command', 'trax_hourglass.commands', 'matplotlib']


def start(argv, environment, path):
  """Starts `python -m trax_hourglass.COMMAND`, but for the wait of its imports.

  Args:
    argv: The command's name and its flags.
    environment: Variables to set. Those that JAX reads when it is imported
      come too late.
    path: The process writes to `path.out` and `path.err`.
  """
  context = multiprocessing.get_context('forkserver')
  context.set_forkserver_preload(_PRELOADED)
  process = context.Process(target=_run, args=(argv, environment, str(path)))
  process.start()
  return process


def _run(argv, environment, path):
  for descriptor, suffix in ((1, '.out'), (2, '.err')):
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    os.dup2(os.open(path + suffix, flags), descriptor)
  os.environ.update(environment)
  sys.argv = argv
  runpy.run_module(
    f'trax_hourglass.{argv[0]}', run_name='__main__', alter_sys=True
  )
