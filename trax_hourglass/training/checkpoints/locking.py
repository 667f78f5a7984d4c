"""One run at a time in an output directory."""

import contextlib
import os
import socket

import filelock

from trax_hourglass.errors import UserError, warn


class InUseError(UserError):
  """Another process has the directory."""


@contextlib.contextmanager
def locked(directory: str):
  """Keeps other processes out of a directory; a context manager.

  The lock is the kernel's, on a file in the directory: it ends with the
  process, however that ends. Within the process it may be taken again.

  Raises:
    InUseError: If another process has it.
  """
  path = os.path.join(os.path.realpath(directory), '.lock')
  lock = filelock.FileLock(
    path,
    timeout=0,
    is_singleton=True,
    thread_local=False,
    fallback_to_soft=False,
    on_acquired=_write_owner,
  )
  with contextlib.ExitStack() as stack:
    try:
      stack.enter_context(lock)
    except filelock.Timeout as error:
      with open(path) as file:
        owner = file.read() or 'unknown'
      raise InUseError(
        f'--output_dir: {directory} is in use by another run ({owner}); wait '
        'for its end or give another directory'
      ) from error
    except OSError as error:
      if error.filename:  # It cannot be opened.
        raise UserError(
          f'--output_dir: cannot write to {path} ({error.strerror}); take it '
          'away or give another directory'
        ) from error
      warn(f'{directory} cannot be locked ({error}): let no other run write it')
    yield


def _write_owner(file: int):
  with contextlib.suppress(OSError):  # The disk may be full.
    os.ftruncate(file, 0)
    os.write(file, f'process {os.getpid()} on {socket.gethostname()}'.encode())
