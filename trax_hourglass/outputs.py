"""Files that take the place of earlier ones once they are whole."""

from collections.abc import Iterator
import contextlib
import os
from typing import BinaryIO

from trax_hourglass import addresses
from trax_hourglass.errors import UserError, reason


@contextlib.contextmanager
def replacement(path: str | os.PathLike) -> Iterator[BinaryIO]:
  """Opens a file that replaces the one at `path` when the body has ended.

  A path that cannot be written is thus reported before hours of work. If the
  body fails, nothing is left, and an earlier file stays. A link stays, too, and
  the file that it leads to is replaced. A device or a pipe is written directly.

  Raises:
    UserError: If the file cannot be written.
  """
  addresses.check_on_disk('output', path)
  path = os.path.expanduser(path)
  if not os.path.basename(path) or os.path.isdir(path):
    raise UserError(f'{path!r}: got a folder, expected the name of a file')
  is_stream = os.path.exists(path) and not os.path.isfile(path)
  whole = os.path.realpath(path)
  part = path if is_stream else f'{whole}.part'
  try:
    with open(part, 'wb') as file:
      yield file
    if not is_stream:
      os.replace(part, whole)
  except OSError as error:
    raise UserError(
      f'{path}: cannot be written ({reason(error)}); check its folder, or give '
      'another file'
    ) from error
  finally:
    if not is_stream:
      with contextlib.suppress(OSError):
        os.remove(part)
