"""Reading and fetching files; what goes wrong is reported as the user's."""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import fcntl
import gzip
import hashlib
import http.client
import lzma
import os
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib

import tqdm

from trax_hourglass.errors import UserError

_BROKEN = (
  EOFError,
  gzip.BadGzipFile,
  lzma.LZMAError,
  tarfile.TarError,
  zipfile.BadZipFile,
  zlib.error,
)
_PIECE = 1 << 20


@dataclasses.dataclass(frozen=True)
class Archive:
  """A file on the net, and how to tell that it is whole."""

  url: str
  n_bytes: int
  sha256: str

  @property
  def name(self) -> str:
    return self.url.rpartition('/')[2]

  def check(self, path: str, source: str) -> None:
    """Raises a `UserError` unless the file at `path` is this one.

    Args:
      path: The file.
      source: What to call it in the error.
    """
    n_bytes = os.path.getsize(path)
    if n_bytes != self.n_bytes:
      raise UserError(
        f'{source}: got {n_bytes:,} bytes, expected {self.n_bytes:,}; fetch '
        f'{self.name} again'
      )
    sha256 = hashlib.sha256()
    with open(path, 'rb') as file, _bar(f'check {self.name}', n_bytes) as bar:
      while piece := file.read(_PIECE):
        sha256.update(piece)
        bar.update(len(piece))
    if sha256.hexdigest() != self.sha256:
      raise UserError(
        f'{source}: got SHA-256 {sha256.hexdigest()}, expected {self.sha256}; '
        f'fetch {self.name} again'
      )


def tar_members(path: str | os.PathLike) -> Iterator[tuple[str, bytes]]:
  """Yields name and content of each file in a tar; nothing is written.

  Raises:
    UserError: If the tar is broken, or holds a link or a device.
  """
  with reading(path), tarfile.open(path, 'r|*') as archive:
    while (member := archive.next()) is not None:
      archive.members.clear()  # A list of a million of them by and by.
      if member.isdir():
        continue
      if not member.isfile():
        raise UserError(
          f'{path}: got a link or device {member.name!r}, expected files alone;'
          ' fetch it again'
        )
      yield member.name, archive.extractfile(member).read()


@contextlib.contextmanager
def reading(source: str | os.PathLike) -> Iterator[None]:
  """Turns what fails while `source` is read or unpacked into a `UserError`."""
  try:
    yield
  except _BROKEN as e:
    raise UserError(
      f'{source}: got a broken or truncated file ({e}), expected a complete '
      'one; fetch it again'
    ) from e
  except OSError as e:
    at = ''
    if isinstance(e, FileNotFoundError) and not os.path.isabs(source):
      at = f' at {os.path.abspath(os.path.expanduser(source))}'
    raise UserError(
      f'{source}: cannot be read ({e.strerror or e}){at}; check that it is a '
      'file that you may read'
    ) from e


def make_once(path: str, make: Callable[[str], None]) -> None:
  """Lets `make` write a file that then becomes `path`, if there is none yet.

  Of several processes one makes it, and the others wait.

  Args:
    path: The file. Its folder is made too.
    make: Gets the path to write to, where there may be what an earlier call
      left when it failed.

  Raises:
    UserError: If the file cannot be written, and what `make` raises.
  """
  if os.path.exists(path):
    return
  part_path = f'{path}.part'
  made, folder = [], os.path.dirname(path)
  while folder and not os.path.exists(folder):
    made.append(folder)
    folder = os.path.dirname(folder)
  try:
    # Opened first: a folder that cannot be written must not cost a download.
    with _locked(part_path) as part:
      try:
        # Another process may have made it while this one waited.
        if not os.path.exists(path):
          make(part_path)
          os.replace(part_path, path)
      finally:
        if _is_at(part_path, part) and not os.path.getsize(part_path):
          os.remove(part_path)
  except OSError as e:
    raise UserError(
      f'data_dir: cannot write {path} ({e.strerror}); set another data_dir'
    ) from e
  finally:
    with contextlib.suppress(OSError):  # There is something in it.
      for folder in made:
        os.rmdir(folder)


@contextlib.contextmanager
def _locked(path):
  """Opens the file at `path`, made if need be, and locks it.

  The previous holder of the lock may have renamed or removed the file. Then the
  lock does not protect `path`, so the file that is now there is locked instead.
  """
  folder = os.path.dirname(path) or '.'
  while True:
    os.makedirs(folder, exist_ok=True)
    try:
      file = open(path, 'ab')  # noqa: SIM115 (Closed below.)
    except FileNotFoundError:
      if os.path.isdir(folder):
        raise
      continue  # The other process has removed the folder.
    with file:
      fcntl.flock(file, fcntl.LOCK_EX)
      if _is_at(path, file):
        yield file
        return


def _is_at(path, file):
  """Returns whether an open file is the one at `path`."""
  try:
    return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
  except FileNotFoundError:
    return False


def download(url: str, path: str, check: Callable[[str, str], None]) -> None:
  """Puts what is at `url` at `path`, once it is whole and checked.

  A download that broke goes on where it stopped.

  Args:
    url: Where to fetch it.
    path: Where to put it. Meanwhile it is at `path` with `.part` added.
    check: Gets a path and what to call it, and raises a `UserError` unless the
      file there is the one that is wanted. It is removed then.

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


def _fetch(url, path):
  """Adds to the file at `path` what it lacks, behind a progress bar."""
  n_bytes = os.path.getsize(path)
  headers = {'Range': f'bytes={n_bytes}-'} if n_bytes else {}
  try:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=60) as response:
      is_rest = response.status == http.client.PARTIAL_CONTENT
      n_bytes = n_bytes if is_rest else 0
      total = n_bytes + int(response.headers.get('Content-Length', 0))
      with (
        open(path, 'ab' if is_rest else 'wb') as file,
        _bar(url, total) as bar,
      ):
        bar.update(n_bytes)
        while piece := response.read(_PIECE):
          file.write(piece)
          n_bytes += len(piece)
          bar.update(len(piece))
    if n_bytes < total:
      raise ConnectionError(f'got {n_bytes:,} of {total:,} bytes')
  except urllib.error.HTTPError as e:
    # Nothing lacks, if the file is the right one, which is for `check` to say.
    if e.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
      raise _not_fetched(url, e) from e
  except (OSError, http.client.HTTPException) as e:
    raise _not_fetched(url, e) from e


def _not_fetched(url, error):
  return UserError(
    f'{url}: cannot be downloaded ({error}); try again, it goes on where it '
    'stopped, or fetch it by other means'
  )


def _bar(name, total):
  return tqdm.tqdm(
    desc=name, total=total or None, unit='B', unit_scale=True, disable=None
  )
