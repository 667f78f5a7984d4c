"""Downloads, resumed and checked; failures are reported as user errors."""

from collections.abc import Callable
import dataclasses
import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.request

import tqdm

from trax_hourglass.data import files
from trax_hourglass.errors import UserError

_PIECE = 1 << 20


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

  files.make_once(path, make)


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
