"""enwik8: the first 10^8 bytes of an English Wikipedia dump of 2006."""

import dataclasses
import hashlib
import http.client
import io
import os
import urllib.request

import tqdm

from trax_hourglass.data import files, text
from trax_hourglass.errors import UserError


@dataclasses.dataclass(frozen=True)
class Archive:
  """A zip on the net, and the size and MD5 of the one file wanted from it."""

  url: str
  member: str
  n_bytes: int
  md5: str


# Both figures are published: http://mattmahoney.net/dc/textdata.html
ARCHIVE = Archive(
  url='http://mattmahoney.net/dc/enwik8.zip',
  member='enwik8',
  n_bytes=100_000_000,
  md5='a1fa5ffddb56f4953e226637dabbb36a',
)


def enwik8(
  path: str | os.PathLike | None = None,
  data_dir: str | os.PathLike = '~/.cache/trax_hourglass',
  download: bool = False,
) -> text.Text:
  """Returns enwik8: 90M bytes to train on, 5M for validation, 5M for the test.

  Size and checksum are checked each time it is read.

  Args:
    path: The raw file or `enwik8.zip`; by default looked for in `data_dir`.
    data_dir: Where a download is kept.
    download: Whether to fetch 35 MiB if there is none in `data_dir`.

  Raises:
    UserError: If there is no file, or it is not enwik8.
  """
  if path is None:
    path = _find(os.path.expanduser(data_dir), download)
  content = files.read_bytes(path, member=ARCHIVE.member)
  _check(content, path)
  return text.Text.from_bytes('enwik8', content)


def _find(data_dir, download):
  zip_path = os.path.join(data_dir, f'{ARCHIVE.member}.zip')
  for path in (os.path.join(data_dir, ARCHIVE.member), zip_path):
    if os.path.exists(path):
      return path
  if not download:
    raise UserError(
      f'enwik8: got no file in {data_dir}, expected {ARCHIVE.member} or '
      f'{ARCHIVE.member}.zip; set path, or download=True'
    )
  _download(zip_path)
  return zip_path


def _download(zip_path):
  """Puts the zip there once its content is checked: never half of it."""
  part_path = f'{zip_path}.{os.getpid()}.part'
  try:
    os.makedirs(os.path.dirname(zip_path), exist_ok=True)
    # Opened first: a folder that cannot be written must not cost a download.
    with open(part_path, 'wb') as part:
      zipped = _fetch(ARCHIVE.url)
      with files.reading(ARCHIVE.url):
        content = files.unzip(io.BytesIO(zipped), ARCHIVE.url, ARCHIVE.member)
      _check(content, ARCHIVE.url)
      part.write(zipped)
    os.replace(part_path, zip_path)
  except OSError as e:
    raise UserError(
      f'data_dir: cannot write {zip_path} ({e.strerror}); set another data_dir'
    ) from e
  finally:
    if os.path.exists(part_path):
      os.remove(part_path)


def _fetch(url):
  """Returns what is at `url`, behind a progress bar."""
  chunks = []
  try:
    with urllib.request.urlopen(url, timeout=60) as response:
      n_bytes = int(response.headers.get('Content-Length', 0))
      with tqdm.tqdm(
        desc=url, total=n_bytes or None, unit='B', unit_scale=True
      ) as bar:
        while chunk := response.read(1 << 16):
          chunks.append(chunk)
          bar.update(len(chunk))
  except (OSError, http.client.HTTPException) as e:
    raise UserError(
      f'{url}: cannot be downloaded ({e}); try again, or fetch it by other '
      'means and set path'
    ) from e
  return b''.join(chunks)


def _check(content, source):
  """Raises a `UserError` unless `content` is the archive's."""
  advice = 'fetch it again from ' + ARCHIVE.url
  if len(content) != ARCHIVE.n_bytes:
    raise UserError(
      f'{source}: got {len(content):,} bytes, expected {ARCHIVE.n_bytes:,}; '
      f'{advice}'
    )
  md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
  if md5 != ARCHIVE.md5:
    raise UserError(
      f'{source}: got MD5 {md5}, expected {ARCHIVE.md5}; {advice}'
    )
