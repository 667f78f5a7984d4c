"""The directory that a command writes to."""

from collections.abc import Iterator
import contextlib
import os
import shutil

from trax_hourglass import addresses
from trax_hourglass.errors import UserError, reason, warn
from trax_hourglass.training.checkpoints import locking


@contextlib.contextmanager
def writable(path: str, name: str = '--output_dir') -> Iterator[None]:
  """Makes a directory, and removes it again if the body fails.

  A directory that cannot be written is reported before hours of work, and a
  failed command leaves nothing behind, unless another run has started there.

  Args:
    path: The directory.
    name: What the user gave it as.

  Raises:
    UserError: If the directory cannot be made or written to.
  """
  addresses.check_on_disk(name, path)
  made, parent = None, path
  while parent and not os.path.exists(parent):
    made, parent = parent, os.path.dirname(parent)
  try:
    try:
      os.makedirs(path, exist_ok=True)
      probe = os.path.join(path, '.writable')
      with open(probe, 'w'):
        pass
      os.remove(probe)
    except OSError as error:
      raise UserError(
        f'{name}: cannot write to {path} ({reason(error)}); give another one'
      ) from error
    yield
  except BaseException:
    if made is not None and os.path.exists(made):
      _remove(made, path)
    raise


@contextlib.contextmanager
def expendable(path: str) -> Iterator[str]:
  """Yields a temporary path; the file written there then replaces `path`.

  If writing fails, for example on a full disk, a warning says so and an earlier
  file at `path` stays.
  """
  part = f'{path}.part'
  try:
    yield part
    os.replace(part, path)
  except OSError as error:
    with contextlib.suppress(OSError):
      os.remove(part)
    warn(f'{path} cannot be written ({reason(error)})')


def check_different(**paths: str | os.PathLike | None) -> None:
  """Raises `UserError` if two of some files, which may be `None`, are one."""
  names = {}
  for name, path in paths.items():
    if path is None or addresses.is_address(path):
      continue
    file = os.path.realpath(os.path.expanduser(path))
    if file in names:
      raise UserError(
        f'{name}: got {path}, the file of {names[file]}; give another one'
      )
    names[file] = name


def _remove(made, path):
  """Removes the directory `made`, unless another run is at work in `path`."""
  with contextlib.ExitStack() as stack:
    if os.path.isdir(path):
      try:
        stack.enter_context(locking.locked(path))
      except UserError:
        return
    shutil.rmtree(made, ignore_errors=True)  # The body's error is raised.
