"""Files elsewhere, such as gs://bucket/run, read as copies on disk.

`fsspec` reads them; most schemes need a package of their own. A copy is in a
folder named by a hash of the files' addresses, sizes, times and tags, so a file
that has changed is copied again, and a copy in use stays as it is.
"""

from collections.abc import Iterator, Sequence
import contextlib
import hashlib
import os
import posixpath
import re
import shutil

import filelock
import fsspec
from fsspec import callbacks

from trax_hourglass.errors import UserError, reason

CACHE = '~/.cache/trax_hourglass/addresses'
_ADDRESS = re.compile(r'[A-Za-z][\w+.-]*://')
# What file systems say of a file that changes with its content, in lower case.
_STATE = {
  *('size', 'etag', 'mtime', 'created', 'updated', 'blob_id'),
  *('lastmodified', 'last_modified'),
}


def is_address(path: str | os.PathLike) -> bool:
  """Returns whether a path is an address, `SCHEME://...`."""
  return bool(_ADDRESS.match(str(path)))


def check_on_disk(name: str, path: str | os.PathLike | None) -> None:
  """Raises `UserError` if a path that must be on disk is an address."""
  if path is not None and is_address(path):
    raise UserError(
      f'{name}: got {path}, expected a path on this machine, because only '
      'texts, gin files and checkpoints are read from an address, and nothing '
      'is written to one; use a local folder and copy it, for example with '
      '`gcloud storage rsync`'
    )


def local(path: str | os.PathLike) -> str:
  """Returns the path of a file on disk: of a copy, if it is at an address.

  Args:
    path: An address, or a path, in which `~` is expanded.

  Raises:
    UserError: If there is no file at the address, or it cannot be copied.
  """
  if not is_address(path):
    return os.path.expanduser(path)
  folder, name = split(path)
  return os.path.join(copy(folder, [name]), name)


def split(address: str) -> tuple[str, str]:
  """Returns the address of the folder that something is in, and its name."""
  scheme, _, rest = address.partition('://')
  folder, name = posixpath.split(rest.rstrip('/'))
  return f'{scheme}://{folder}', name


def join(folder: str, path: str) -> str:
  """Returns the address of a path relative to a folder; `..` goes up."""
  scheme, _, rest = folder.partition('://')
  return f'{scheme}://{posixpath.normpath(posixpath.join(rest, path))}'


def exists(address: str) -> bool:
  """Returns whether there is a file or folder; raises `UserError`."""
  with _one_line(address):
    system, path = _opened(address)
    return system.exists(path)


def files(address: str, depth: int) -> list[str]:
  """Returns the paths of files in a folder, relative to it.

  That of a file itself is `''`.

  Args:
    address: The folder, or a file.
    depth: 1 for the files that are directly in the folder.

  Raises:
    UserError: If the folder cannot be read.
  """
  with _one_line(address):
    system, root = _opened(address)
    found = system.find(root, maxdepth=depth)
    return [path[len(root) :].lstrip('/') for path in found]


def matching(pattern: str) -> dict[str, tuple]:
  """Returns the addresses of the files that match a pattern, in order.

  Each is mapped to a state, which changes if the file does.

  Raises:
    UserError: If their folders cannot be read.
  """
  with _one_line(pattern):
    system, root = _opened(pattern)
    found = sorted(
      (system.unstrip_protocol(path), path)
      for path, info in system.glob(root, detail=True).items()
      if info['type'] == 'file'
    )
  return {address: _state(system, path, address) for address, path in found}


def copy(folder: str, names: Sequence[str]) -> str:
  """Returns the path of a copy of a folder, with some of its files.

  Args:
    folder: The folder's address.
    names: Paths of files, relative to the folder.

  Raises:
    UserError: If one of them is missing, or cannot be copied.
  """
  with _one_line(folder):
    system, root = _opened(folder)
  paths = {name: f'{root.rstrip("/")}/{name}' for name in names}
  states = [_state(system, path, join(folder, n)) for n, path in paths.items()]
  key = hashlib.sha256(repr((folder, states)).encode()).hexdigest()[:16]
  whole = os.path.join(os.path.expanduser(CACHE), key)
  # The copy's path names the address, where a path is printed or kept.
  scheme, _, rest = folder.partition('://')
  inside = os.path.join(scheme, posixpath.normpath(f'/{rest}').lstrip('/'))
  with _one_line(folder):
    os.makedirs(os.path.dirname(whole), exist_ok=True)
    with filelock.FileLock(f'{whole}.lock'):
      if not os.path.isdir(whole):
        part = f'{whole}.part'
        shutil.rmtree(part, ignore_errors=True)
        try:
          for name, path in paths.items():
            _get(system, path, os.path.join(part, inside, name), name)
          os.rename(part, whole)
        finally:  # The disk may be full.
          shutil.rmtree(part, ignore_errors=True)
  return os.path.join(whole, inside)


def _opened(address):
  """Returns a file system, and the path of an address in it."""
  system, path = fsspec.url_to_fs(address)
  system.invalidate_cache()  # Else a folder stays as it was listed first.
  return system, path


def _state(system, path, address):
  """Returns what changes if a file does; raises `UserError`."""
  with _one_line(address):
    info = system.info(path)
  if info['type'] == 'directory':
    raise UserError(f'{address}: got a folder, expected a file')
  return address, [
    (key, str(value)) for key, value in info.items() if key.lower() in _STATE
  ]


def _get(system, path, target, name):
  """Copies a file, with a progress bar."""
  os.makedirs(os.path.dirname(target), exist_ok=True)
  bar = {'desc': name, 'unit': 'B', 'unit_scale': True, 'disable': None}
  with callbacks.TqdmCallback(bar) as callback:
    system.get_file(path, target, callback=callback)


@contextlib.contextmanager
def _one_line(address) -> Iterator[None]:
  """Turns errors of file systems into `UserError`."""
  try:
    yield
  except UserError:
    raise
  except FileNotFoundError as error:
    raise UserError(
      f'{address}: there is no such file; check the address'
    ) from error
  except ImportError as error:
    raise UserError(
      f'{address}: cannot be read ({error}); install that package, or copy the '
      'file to this machine and give its path'
    ) from error
  except Exception as error:  # Each file system has errors of its own.
    raise UserError(
      f'{address}: cannot be copied to {CACHE} ({reason(error)}); check the '
      'address and that you may read it, or copy it by other means'
    ) from error
