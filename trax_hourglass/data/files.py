"""Reading and making of files; failures are reported as user errors."""

import codecs
from collections.abc import Callable, Iterator
import contextlib
import gzip
import lzma
import os
import tarfile
from typing import BinaryIO
import zipfile
import zlib

import filelock

from trax_hourglass import addresses
from trax_hourglass.errors import UserError, reason

_BROKEN = (
  EOFError,
  gzip.BadGzipFile,
  lzma.LZMAError,
  tarfile.TarError,
  zipfile.BadZipFile,
  zlib.error,
)
CACHE = '~/.cache/trax_hourglass'  # The default folder of downloads.


def tar_members(path: str | os.PathLike) -> Iterator[tuple[str, bytes]]:
  """Yields name and content of each file in a tar; writes nothing.

  Raises:
    UserError: If the tar is broken, or holds a link or a device.
  """
  with reading(path), tarfile.open(path, 'r|*') as archive:
    while (member := archive.next()) is not None:
      archive.members.clear()  # It would come to hold all headers, a million.
      if member.isdir():
        continue
      if not member.isfile():
        raise UserError(
          f'{path}: got a link or device {member.name!r}, expected only files; '
          'fetch it again'
        )
      yield member.name, archive.extractfile(member).read()


def folder(name: str, path: str | os.PathLike) -> str:
  """Returns the absolute path of a folder on disk.

  Args:
    name: The argument that gives it, for errors.
    path: The folder; `~` is expanded.

  Raises:
    UserError: If it is an address.
  """
  addresses.check_on_disk(name, path)
  return os.path.abspath(os.path.expanduser(path))


def walk(folder: str) -> Iterator[tuple[str, list[str]]]:
  """Yields a folder and those below it, each with the names of its files.

  Links to other folders are followed, and each folder is yielded once. Hidden
  files and folders are left out.

  Raises:
    UserError: If one of the folders cannot be read.
  """
  root, seen = os.path.realpath(folder), set()
  for parent, folders, names in os.walk(
    folder, onerror=_unreadable, followlinks=True
  ):
    real = os.path.realpath(parent)
    if real in seen:  # Reached through another link.
      folders.clear()
      continue
    seen.add(real)
    folders[:] = [
      name
      for name in sorted(folders)
      if not name.startswith('.')
      and not _is_link_within(os.path.join(parent, name), root)
    ]
    yield parent, [name for name in names if not name.startswith('.')]


def _unreadable(error):
  if not isinstance(error, FileNotFoundError):
    with reading(error.filename):
      raise error


def _is_link_within(path, root):
  """Returns whether this is a link to a folder inside or above `root`."""
  real = os.path.realpath(path)
  return os.path.islink(path) and os.path.commonpath([real, root]) in (
    real,
    root,
  )


@contextlib.contextmanager
def reading(source: str | os.PathLike) -> Iterator[None]:
  """Turns failures to read or unpack `source` into `UserError`."""
  try:
    yield
  except _BROKEN as e:
    raise _broken(source, e) from e
  except OSError as e:
    if e.errno is None:  # From bz2, which has no error of its own.
      raise _broken(source, e) from e
    at = ''
    if isinstance(e, FileNotFoundError) and not os.path.isabs(source):
      at = f' at {os.path.abspath(os.path.expanduser(source))}'
    raise UserError(
      f'{source}: cannot be read ({e.strerror or e}){at}; check that it is a '
      'file that you may read'
    ) from e


def _broken(source, error):
  return UserError(
    f'{source}: got a broken or truncated file ({error}), expected a complete '
    'one; fetch it again'
  )


def damaged(path: str, expected: str) -> UserError:
  """Returns the error for a file in a cache that is not what was written."""
  return UserError(
    f'{path}: got a damaged file, expected {expected}; delete it, and it is '
    'made again'
  )


def check_not_utf16(name: str | os.PathLike, content: bytes) -> None:
  """Raises `UserError` if the content of a file begins as UTF-16 does."""
  if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
    raise UserError(
      f'{name}: got UTF-16, expected UTF-8; convert it, for example with '
      '`iconv -f UTF-16 -t UTF-8`'
    )


@contextlib.contextmanager
def created(path: str) -> Iterator[BinaryIO]:
  """Opens a file to write to; it is on disk when the body has ended.

  If the body fails, the file is removed: the disk may be full.
  """
  try:
    with open(path, 'wb') as file:
      yield file
      file.flush()
      os.fsync(file.fileno())  # Else a power cut could leave zeros in it.
  except BaseException:
    with contextlib.suppress(FileNotFoundError):
      os.remove(path)
    raise


def make_once(
  path: str, make: Callable[[str], None], folder_name: str = 'data_dir'
) -> None:
  """Makes a file unless it exists. Of several processes, one makes it.

  Args:
    path: The file. Its folder is made too.
    make: Writes the file to the path it is given, where an earlier call that
      failed may have left a part. Then it is moved to `path`.
    folder_name: The argument that gives the file's folder, for errors.

  Raises:
    UserError: If the file cannot be written, and what `make` raises.
  """
  if os.path.exists(path):
    return
  try:
    # Locked first: a folder that cannot be written must not cost a download.
    with _locked(path):
      if not os.path.exists(path):  # Made while this process waited.
        make(f'{path}.part')
        os.replace(f'{path}.part', path)
  except OSError as e:
    raise UserError(
      f'{folder_name}: cannot write {path} ({reason(e)}); set another '
      f'{folder_name}'
    ) from e


@contextlib.contextmanager
def _locked(path):
  """Holds a lock on making `path`, and makes its folder if need be.

  Afterwards the lock file is removed, as are folders made here if empty.
  """
  folder = missing = os.path.dirname(path) or '.'
  made = []
  while not os.path.exists(missing):
    made.append(missing)
    missing = os.path.dirname(missing) or '.'
  lock = filelock.FileLock(f'{path}.lock')
  try:
    while not lock.is_locked:
      os.makedirs(folder, exist_ok=True)
      # Another process may remove the folder before the lock is made in it.
      with contextlib.suppress(FileNotFoundError):
        lock.acquire()
    try:
      yield
    finally:
      # Removed while it is held, so that those who wait make another one.
      os.remove(lock.lock_file)
      lock.release()
  finally:
    with contextlib.suppress(OSError):
      for folder in made:
        os.rmdir(folder)
