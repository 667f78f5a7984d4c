"""Reading and downloading of files; failures are reported as user errors."""

import codecs
from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import gzip
import hashlib
import http.client
import lzma
import os
import shutil
import tarfile
from typing import BinaryIO
import urllib.error
import urllib.request
import zipfile
import zlib

import filelock
import tqdm

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
_PIECE = 1 << 20
CACHE = '~/.cache/trax_hourglass'  # The default folder of downloads.


@dataclasses.dataclass(frozen=True)
class Archive:
  """A file to download, with its size and checksum."""

  url: str
  n_bytes: int
  sha256: str

  @property
  def name(self) -> str:
    return self.url.rpartition('/')[2]

  def check(self, path: str, source: str) -> None:
    """Raises `UserError`, which names `source`, unless `path` is this file."""
    n_bytes = os.path.getsize(path)
    if n_bytes != self.n_bytes:
      raise UserError(
        f'{source}: got {n_bytes:,} bytes, expected {self.n_bytes:,}; fetch '
        f'{self.name} again'
      )
    sha256 = hashlib.sha256()
    with (
      open(path, 'rb') as file,
      _bar(file, 'read', f'check {self.name}', n_bytes) as counted,
    ):
      while piece := counted.read(_PIECE):
        sha256.update(piece)
    if sha256.hexdigest() != self.sha256:
      raise UserError(
        f'{source}: got SHA-256 {sha256.hexdigest()}, expected {self.sha256}; '
        f'fetch {self.name} again'
      )


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


def download(url: str, path: str, check: Callable[[str, str], None]) -> None:
  """Downloads a file, checks it and moves it to `path`.

  A download that was interrupted is resumed.

  Args:
    url: The address of the file.
    path: Where to put it. Meanwhile it is at `path` with `.part` added.
    check: Gets a path and a name for errors, and raises `UserError` unless the
      file there is the wanted one. Then it is removed.

  Raises:
    UserError: If it cannot be fetched, is another file, or cannot be written.
  """

  def make(part_path):
    _fetch(url, part_path)
    try:
      check(part_path, url)
    except UserError:
      os.remove(part_path)
      raise

  make_once(path, make)


# Neither pooch nor the download manager of TFDS resumes a download, of 13 GB.
def _fetch(url, path):
  """Downloads what the file at `path` lacks, with a progress bar."""
  n_bytes = os.path.getsize(path) if os.path.exists(path) else 0
  headers = {'Range': f'bytes={n_bytes}-'} if n_bytes else {}
  try:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=60) as response:
      is_rest = response.status == http.client.PARTIAL_CONTENT
      n_bytes = n_bytes if is_rest else 0
      total = n_bytes + int(response.headers.get('Content-Length', 0))
      with (
        open(path, 'ab' if is_rest else 'wb') as file,
        _bar(file, 'write', url, total, n_bytes) as counted,
      ):
        shutil.copyfileobj(response, counted, _PIECE)
    n_bytes = os.path.getsize(path)
    if n_bytes < total:
      raise ConnectionError(f'got {n_bytes:,} of {total:,} bytes')
  except urllib.error.HTTPError as e:
    # The file is complete; `check` says whether it is the right one.
    if e.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
      raise _not_fetched(url, e) from e
  except (OSError, http.client.HTTPException) as e:
    raise _not_fetched(url, e) from e


def _not_fetched(url, error):
  return UserError(
    f'{url}: cannot be downloaded ({error}); try again, which resumes the '
    'download, or fetch it by other means'
  )


def _bar(file, method, name, total, initial=0):
  """Returns a context manager that yields `file` with a progress bar."""
  return tqdm.tqdm.wrapattr(
    file, method, total or None, initial=initial, desc=name, disable=None
  )
