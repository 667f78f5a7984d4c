"""One run at a time in an output directory."""

import contextlib
import fcntl
import os
import socket

from trax_hourglass.errors import UserError, warn

_NAME = '.lock'
_held = set()


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
  path = os.path.realpath(directory)
  if path in _held:
    yield
    return
  with _locked(os.path.join(path, _NAME), directory) as file:
    owner = f'process {os.getpid()} on {socket.gethostname()}'
    with contextlib.suppress(OSError):  # The disk may be full.
      file.truncate(0)
      os.write(file.fileno(), owner.encode())
    _held.add(path)
    try:
      yield
    finally:
      _held.remove(path)


def _locked(path, directory):
  """Returns the file at `path`, open and locked."""
  file = _opened(path)
  try:
    # This lock belongs to the process; children that it forks do not keep it.
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except (BlockingIOError, PermissionError) as error:
    with file:
      file.seek(0)
      owner = file.read() or 'unknown'
    raise InUseError(
      f'--output_dir: {directory} is in use by another run ({owner}); wait for '
      'its end or give another directory'
    ) from error
  except OSError as error:
    warn(f'{directory} cannot be locked ({error}): let no other run write it')
  # The run that had the lock may have removed the file, with the directory.
  if os.fstat(file.fileno()).st_nlink:
    return file
  file.close()
  return _locked(path, directory)


def _opened(path):
  try:
    return open(path, 'a+')
  except OSError as error:
    raise UserError(
      f'--output_dir: cannot write to {path} ({error.strerror}); take it away '
      'or give another directory'
    ) from error
