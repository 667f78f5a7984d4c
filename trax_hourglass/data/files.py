"""Reading files whose faults are reported as the user's."""

from collections.abc import Iterator
import contextlib
import gzip
import lzma
import os
from typing import BinaryIO
import zipfile
import zlib

from trax_hourglass.errors import UserError

_OPENERS = {'.gz': gzip.open, '.xz': lzma.open}
_BROKEN = (
  EOFError,
  gzip.BadGzipFile,
  lzma.LZMAError,
  zipfile.BadZipFile,
  zlib.error,
)


def read_bytes(path: str | os.PathLike, member: str | None = None) -> bytes:
  """Returns a file's content, unpacked if it ends in .gz, .xz or .zip.

  Args:
    path: The file; `~` is expanded.
    member: What to take from a zip, by default the one file that it holds.

  Raises:
    UserError: If the file or the member is missing or cannot be read.
  """
  suffix = os.path.splitext(path)[1].lower()
  opener = _OPENERS.get(suffix, open)
  with reading(path), opener(os.path.expanduser(path), 'rb') as file:
    return unzip(file, path, member) if suffix == '.zip' else file.read()


def unzip(
  file: BinaryIO, source: str | os.PathLike, member: str | None = None
) -> bytes:
  """Returns one member of the zip in `file`, as `read_bytes` does.

  Args:
    file: The zip, open for reading.
    source: Where it comes from, for the error.
    member: What to take, by default the one file that the zip holds.
  """
  with zipfile.ZipFile(file) as archive:
    members = [i.filename for i in archive.infolist() if not i.is_dir()]
    if member is None:
      if len(members) != 1:
        raise UserError(
          f'{source}: got {len(members)} files in the zip, expected one; '
          'unpack it and give the text itself'
        )
      member = members[0]
    if member not in members:
      raise UserError(
        f'{source}: got a zip without {member!r}, expected it in there; '
        'unpack it and give the text itself'
      )
    try:
      return archive.read(member)
    except (RuntimeError, NotImplementedError) as e:  # A password, a method.
      raise UserError(
        f'{source}: {member!r} cannot be unpacked ({e}); unpack it and give '
        'the text itself'
      ) from e


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
    raise UserError(
      f'{source}: cannot be read ({e.strerror or e}); check that it is a file '
      'that you may read'
    ) from e
