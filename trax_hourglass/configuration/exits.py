"""Exit codes of the commands, and users' mistakes in one line."""

import contextlib
import os
import sys

from trax_hourglass.errors import UserError, reason
from trax_hourglass.training import interruption


@contextlib.contextmanager
def exit_codes():
  """Ends the process as a command should; a decorator of `main`.

  A user's mistake, or output that cannot be written, prints one line and exits
  with 2. Ctrl-C exits with 130, SIGTERM with 143, SIGHUP with 129, all after
  cleaning up. If nothing reads the output any more, as with `| head`, the
  command exits with 141 and prints nothing.
  """
  for name in ('stdout', 'stderr'):
    if getattr(sys, name) is None:  # The process was started with it closed.
      setattr(sys, name, open(os.devnull, 'w'))  # noqa: SIM115
  try:
    with interruption.raising():
      yield
      sys.stdout.flush()
  except UserError as error:
    _fail(error, error)
  except RuntimeError as error:  # JAX has no type for it.
    if 'Unable to initialize backend' not in str(error):
      raise
    _fail(f'devices: {error}; name one of this machine, such as cpu', error)
  except KeyboardInterrupt as error:
    _print_error(f'\n{str(error) or "interrupted"}')
    raise SystemExit(getattr(error, 'exit_code', 130)) from error
  except OSError as error:
    # The line that failed is lost, so an empty flush would succeed.
    if _can_print('\n'):
      raise
    if isinstance(error, BrokenPipeError):
      raise SystemExit(141) from error
    _fail(
      f'stdout: cannot be written ({reason(error)}); redirect it elsewhere',
      error,
    )
  finally:
    if not _can_print():
      # Python flushes stdout once more when it ends.
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _can_print(text=''):
  """Returns whether stdout accepts all output so far, followed by `text`."""
  try:
    print(end=text, flush=True)
  except OSError:
    return False
  return True


def _fail(message, error):
  _print_error(f'error: {" ".join(str(message).split())}')
  raise SystemExit(2) from error


def _print_error(line):
  with contextlib.suppress(OSError):  # stderr may be on a full disk, too.
    print(line, file=sys.stderr, flush=True)
