"""What users are told: a mistake of theirs, a common check, and warnings."""

import contextlib
import numbers
import sys

import tqdm


class UserError(ValueError):
  """A mistake in what the user gave; its message is one line.

  The line names the thing, what was got, what was expected and what to do.
  Commands print it without a traceback and exit with 2; to other callers it is
  a `ValueError`.
  """


def check_positive(**sizes) -> None:
  """Raises `UserError` unless each is a whole number of at least 1."""
  for name, size in sizes.items():
    is_whole = isinstance(size, numbers.Integral) and not isinstance(size, bool)
    if not is_whole or size < 1:
      raise UserError(
        f'{name}: got {size!r}, expected a whole number of at least 1'
      )


def warn(message: str) -> None:
  """Prints a line on standard error, above a progress bar if there is one.

  If standard error cannot be written, the line is lost, and nothing is raised.
  """
  with contextlib.suppress(OSError, ValueError):  # A full disk; closed.
    tqdm.tqdm.write(f'warning: {message}', file=sys.stderr)


def reason(error: Exception) -> str:
  """Returns the reason that an OSError or an error of TensorFlow's gives."""
  text = getattr(error, 'strerror', None) or getattr(error, 'message', None)
  # TensorFlow puts the file's name in front.
  return ' '.join((text or str(error)).rpartition('; ')[2].split())
