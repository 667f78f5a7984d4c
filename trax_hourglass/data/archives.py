"""Reading of compressed files and of archives that hold one file.

The first bytes of a file tell its format, whatever its name, and those of its
content again, so a `.tar.gz` or a zip in a zip can be read, too. Nothing is
written to disk, and memory holds only the text, and a zip inside another
archive.
"""

import bz2
from collections.abc import Iterator
import contextlib
import gzip
import io
import lzma
import os
import re
import shutil
import tarfile
from typing import BinaryIO
import zipfile

from trax_hourglass import addresses
from trax_hourglass.data import files
from trax_hourglass.errors import UserError

_PIECE = 1 << 20
_MOST_NESTED = 8  # Some archives contain themselves.
_ADVICE = 'unpack it and give the text itself'
_HEAD = 512  # Bytes that tell the format: the length of a tar's header.
_SUFFIXES = {
  *('.gz', '.tgz', '.bz2', '.tbz', '.tbz2', '.xz', '.txz', '.lzma', '.tlz'),
  *('.zst', '.tzst', '.zip', '.tar'),
}

# Any compressed file or archive has a control character in its first bytes; a
# text that merely begins with the same letters has none.
_CONTROL = re.compile(rb'[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]')
# The digits of pi, and of its square root.
_BLOCK, _NO_BLOCK = b'1AY&SY', b'\x17rE8P\x90'
_BEGINNINGS = {
  'gzip': (b'\x1f\x8b',),
  'bzip2': tuple(
    b'BZh%d' % level + block
    for level in range(1, 10)
    for block in (_BLOCK, _NO_BLOCK)
  ),
  'xz': (b'\xfd7zXZ\0',),
  'zstd': (
    b'\x28\xb5\x2f\xfd',
    *(b'%c\x2a\x4d\x18' % i for i in range(0x50, 0x60)),  # Skippable frames.
  ),
  'zip': (b'PK\3\4', b'PK\5\6', b'PK\7\x08'),
  '7-Zip': (b'7z\xbc\xaf\x27\x1c',),
  'RAR': (b'Rar!\x1a\x07',),
  'lz4': (b'\x04\x22\x4d\x18', b'\x02\x21\x4c\x18'),
  'lzip': (b'LZIP\1',),
  'lzop': (b'\x89LZO\0',),
  'Snappy': (b'\xff\x06\0\0sNaPpY',),
  'compress': (b'\x1f\x9d',),
  'Windows cabinet': (b'MSCF\0\0\0\0',),
  'xar': (b'xar!',),
  'ar': (b'!<arch>\n',),
  'cpio': (b'070701', b'070702', b'070707'),
  'RPM': (b'\xed\xab\xee\xdb',),
  'Parquet': (b'PAR1',),
  'Arrow': (b'ARROW1\0\0',),
}


def read_bytes(path: str | os.PathLike, member: str | None = None) -> bytes:
  """Returns the content of a file, unpacked if it is compressed or an archive.

  Args:
    path: The file, or its address; `~` is expanded.
    member: The file to take from a zip, by default the only one.

  Raises:
    UserError: If the file or the member is missing or cannot be read, or an
      archive holds several files or has an unsupported format.
  """
  with opened(path, member) as file:
    return _content(file)


@contextlib.contextmanager
def opened(
  path: str | os.PathLike, member: str | None = None
) -> Iterator[BinaryIO]:
  """Yields the file that `read_bytes` reads, for reading it in pieces."""
  if not isinstance(path, str | os.PathLike) or not str(path):
    raise UserError(f'path: got {path!r}, expected the name of a file')
  with (
    files.reading(path),
    open(addresses.local(path), 'rb', buffering=0) as file,
    _unpacked(file, path, member) as unpacked,
  ):
    yield unpacked


def unpack(
  file: BinaryIO, source: str | os.PathLike, member: str | None = None
) -> bytes:
  """Returns the content of an open file, as `read_bytes` does.

  Args:
    file: The file, at its beginning.
    source: Its name in errors. If it ends in a suffix such as `.gz`, the file
      must be compressed.
    member: The file to take from a zip.
  """
  with files.reading(source), _unpacked(file, source, member) as unpacked:
    return _content(unpacked)


@contextlib.contextmanager
def _unpacked(file, source, member):
  readers = []  # Kept: a garbage-collected reader closes the file below it.
  with contextlib.ExitStack() as stack:
    while len(readers) <= _MOST_NESTED:
      reader = io.BufferedReader(file, _PIECE)
      readers.append(reader)
      kind = _format(reader.peek(_HEAD)[:_HEAD])
      if kind is None:
        if len(readers) == 1:
          _check_suffix(source)
        yield reader
        return
      file = stack.enter_context(_opened(kind, reader, source, member))
  raise UserError(
    f'{source}: got more than {_MOST_NESTED} nested archives, expected a text; '
    f'{_ADVICE}'
  )


def _format(head: bytes) -> str | None:
  """Returns the format of a file, such as 'gzip', or `None` for any other."""
  if not _CONTROL.search(head):
    return None
  for kind, beginnings in _BEGINNINGS.items():
    if head.startswith(beginnings):
      return kind
  if _is_lzma(head):
    return 'lzma'
  return 'tar' if _is_tar(head) else None


def _is_lzma(head):
  """Returns whether this looks like a header of `xz --format=lzma`.

  That has no fixed first bytes: a byte of properties, the sizes of the window
  and of the text, and the first byte of the data, which is 0.
  """
  if len(head) < 14 or head[0] != 0x5D or head[13]:
    return False
  window = int.from_bytes(head[1:5], 'little')
  size = int.from_bytes(head[5:13], 'little')
  is_usual = window >= 4096 and window.bit_count() <= 2
  return is_usual and (size < 1 << 38 or size == (1 << 64) - 1)


def _is_tar(head):
  if head[257:262] == b'ustar':
    return True
  try:  # An older tar only has a checksum.
    tarfile.TarInfo.frombuf(head, 'utf-8', 'surrogateescape')
  except tarfile.TarError:
    return False
  return True


def _opened(kind, file, source, member):
  """Returns a context manager that yields the unpacked content."""
  if kind == 'zip':
    return _zip(file, source, member)
  if kind == 'tar':
    return _tar(file, source)
  if kind == 'zstd':
    return _zstd(file)
  if kind == 'gzip':
    return _to_the_end(gzip.GzipFile(mode='rb', fileobj=file))
  if kind == 'bzip2':
    return _to_the_end(bz2.BZ2File(file))
  if kind in ('xz', 'lzma'):
    return _to_the_end(lzma.LZMAFile(file))
  raise _refused(source, kind)


@contextlib.contextmanager
def _to_the_end(file):
  """Yields a file, then reads it to its end, where the checksum is."""
  with file:
    yield file
    while file.read(_PIECE):
      pass


@contextlib.contextmanager
def _zstd(file):
  from backports import zstd  # Part of Python itself from 3.14 on.

  # Windows of up to 2 GiB, as `zstd --long=31` makes them.
  options = {zstd.DecompressionParameter.window_log_max: 31}
  try:
    with _to_the_end(zstd.ZstdFile(file, options=options)) as unpacked:
      yield unpacked
  except zstd.ZstdError as error:
    raise EOFError(str(error)) from error


@contextlib.contextmanager
def _zip(file, source, member):
  if not isinstance(file.raw, io.FileIO | io.BytesIO):
    file = io.BytesIO(_content(file))  # To seek: a zip's directory is last.
  with _zip_errors(source):
    archive = zipfile.ZipFile(file)
  with archive:
    name = member or _only_file(archive, source)
    if name not in archive.namelist():
      raise UserError(
        f'{source}: got a zip without {name!r}, expected one with it; {_ADVICE}'
      )
    with _zip_errors(f'{source}: {name!r}'):
      unpacked = archive.open(name)
    with _to_the_end(unpacked):
      yield unpacked


@contextlib.contextmanager
def _zip_errors(what):
  try:
    yield
  # A password, or an unknown method of compression.
  except (RuntimeError, NotImplementedError) as e:
    raise UserError(f'{what} cannot be unpacked ({e}); {_ADVICE}') from e
  except ValueError as e:  # Impossible offsets in the file.
    raise zipfile.BadZipFile(str(e)) from e


def _only_file(archive, source):
  names = [i.filename for i in archive.infolist() if not i.is_dir()]
  names = [name for name in names if not _is_extra(name)]
  if len(names) != 1:
    raise UserError(
      f'{source}: got {len(names)} files in the zip, expected one; {_ADVICE}'
    )
  return names[0]


@contextlib.contextmanager
def _tar(file, source):
  with tarfile.open(fileobj=file, mode='r|') as archive:
    entries = (e for e in archive if not e.isdir() and not _is_extra(e.name))
    first = next(entries, None)
    if first is None or not first.isfile():
      got = f'a link or device {first.name!r}' if first else 'no file'
      raise UserError(
        f'{source}: got {got} in the tar, expected one file; {_ADVICE}'
      )
    yield archive.extractfile(first)
    second = next(entries, None)
    if second is not None:
      raise UserError(
        f'{source}: got {first.name!r} and {second.name!r} in the tar, '
        f'expected one file; {_ADVICE}'
      )


def _is_extra(name):
  """Returns whether this is a file of metadata that macOS adds."""
  return name.startswith('__MACOSX/') or os.path.basename(name).startswith('._')


def _content(file) -> bytes:
  """Returns the rest of a file without ever holding two copies of it."""
  content = io.BytesIO()
  shutil.copyfileobj(file, content, _PIECE)
  return content.getvalue()


def _check_suffix(source):
  suffix = os.path.splitext(source)[1].lower()
  if suffix in _SUFFIXES:
    raise UserError(
      f'{source}: got a broken or truncated file (it does not begin as '
      f'{suffix} files do), expected a complete one; fetch it again, or rename '
      'it if it is plain text'
    )
  if suffix == '.br':  # Brotli has no fixed first bytes.
    raise _refused(source, 'Brotli')


def _refused(source, kind):
  return UserError(
    f'{source}: got a {kind} file, expected a text, by itself or in '
    f'gzip, bzip2, xz, lzma, zstd, or a zip or tar of one file; {_ADVICE}'
  )
