"""Reading of compressed files and of archives that hold one file.

The first bytes of a file tell its format, whatever its name. Its content is
examined in the same way, so a `.tar.gz` or a zip in a zip can be read, too.
Nothing is written to disk, and memory holds only the text, and a zip if it is
inside another archive.
"""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import shutil
import tarfile
from typing import BinaryIO
import zipfile

from trax_hourglass.data import files, first_bytes
from trax_hourglass.errors import UserError

_PIECE = 1 << 20
_MOST_NESTED = 8  # Some archives contain themselves.
_ADVICE = 'unpack it and give the text itself'
_SUFFIXES = {
  *('.gz', '.tgz', '.bz2', '.tbz', '.tbz2', '.xz', '.txz', '.lzma', '.tlz'),
  *('.zst', '.tzst', '.zip', '.tar'),
}


def read_bytes(path: str | os.PathLike, member: str | None = None) -> bytes:
  """Returns the content of a file, unpacked if it is compressed or an archive.

  Args:
    path: The file; `~` is expanded.
    member: The file to take from a zip, by default the only one.

  Raises:
    UserError: If the file or the member is missing or cannot be read, or an
      archive holds several files or is of a kind that cannot be read.
  """
  if not isinstance(path, str | os.PathLike) or not str(path):
    raise UserError(f'path: got {path!r}, expected the name of a file')
  with (
    files.reading(path),
    open(os.path.expanduser(path), 'rb', buffering=0) as file,
  ):
    return unpack(file, path, member)


def unpack(
  file: BinaryIO, source: str | os.PathLike, member: str | None = None
) -> bytes:
  """Returns the content of an open file, as `read_bytes` does.

  Args:
    file: The file, at its beginning.
    source: The file's name or origin, for errors. If it ends in a suffix such
      as `.gz`, the file must be compressed.
    member: The file to take from a zip.
  """
  readers = []  # A reader that is collected would close the file under it.
  with files.reading(source), contextlib.ExitStack() as stack:
    while len(readers) <= _MOST_NESTED:
      reader = io.BufferedReader(file, _PIECE)
      readers.append(reader)
      kind = first_bytes.kind_of(
        reader.peek(first_bytes.LENGTH)[: first_bytes.LENGTH]
      )
      if kind is None:
        if len(readers) == 1:
          _check_suffix(source)
        return _content(reader)
      file = stack.enter_context(_opened(kind, reader, source, member))
  raise UserError(
    f'{source}: got more than {_MOST_NESTED} nested archives, expected a text; '
    f'{_ADVICE}'
  )


def _opened(kind, file, source, member):
  """Returns a context manager that yields the unpacked content of a file."""
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
  """Yields a file and reads it to its end, where the checksum is."""
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
  """Returns whether a file holds metadata that macOS adds for each file."""
  return name.startswith('__MACOSX/') or os.path.basename(name).startswith('._')


def _content(file) -> bytes:
  """Returns the rest of a file, without a second copy of it in memory."""
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
