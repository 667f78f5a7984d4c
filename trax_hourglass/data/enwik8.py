"""enwik8: the first 10^8 bytes of an English Wikipedia dump of 2006."""

import dataclasses
import hashlib
import os

from trax_hourglass.data import archives, downloads, files, text
from trax_hourglass.errors import UserError


@dataclasses.dataclass(frozen=True)
class Archive:
  """A zip to download, with the size and MD5 of a file in it."""

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
  data_dir: str | os.PathLike = files.CACHE,
  download: bool = False,
) -> text.Text:
  """Returns enwik8: 90M bytes for training, 5M for validation, 5M for testing.

  Size and checksum are checked each time it is read.

  Args:
    path: The file, raw or compressed in any way; by default `enwik8` or
      `enwik8.zip` in `data_dir`.
    data_dir: Folder of downloads.
    download: Whether to fetch 35 MiB if there is none in `data_dir`.

  Raises:
    UserError: If there is no file, or it is not enwik8.
  """
  if path is None:
    directory = files.folder('data_dir', data_dir)
    path = _find(directory, download)
  content = archives.read_bytes(path, member=ARCHIVE.member)
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
  downloads.download(ARCHIVE.url, zip_path, _check_zip)
  return zip_path


def _check_zip(path, source):
  with files.reading(source), open(path, 'rb') as file:
    _check(archives.unpack(file, source, ARCHIVE.member), source)


def _check(content, source):
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
