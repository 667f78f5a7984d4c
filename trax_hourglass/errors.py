"""Users' mistakes, checks for them, and warnings."""

import contextlib
import numbers
import sys

import tqdm


class UserError(ValueError):
  """A mistake in the user's input; its message is one line.

  The line says what was wrong, what was expected and what to do. Commands print
  it without a traceback and exit with 2.
  """


def is_positive(size) -> bool:
  """Returns whether a size is a whole number of at least 1."""
  is_whole = isinstance(size, numbers.Integral) and not isinstance(size, bool)
  return is_whole and size >= 1


def check_positive(**sizes) -> None:
  """Raises `UserError` unless each is a whole number of at least 1."""
  for name, size in sizes.items():
    if not is_positive(size):
      raise UserError(
        f'{name}: got {size!r}, expected a whole number of at least 1'
      )


def warn(message: str) -> None:
  """Prints a line on standard error, above a progress bar if there is one.

  If standard error cannot be written, the line is lost, and nothing is raised.
  """
  with contextlib.suppress(OSError, ValueError):  # A full disk; closed.
    tqdm.tqdm.write(f'warning: {message}', file=sys.stderr)


def file_errors() -> tuple[type[Exception], ...]:
  """Returns OSError and, once TensorFlow is loaded, its error for files."""
  tensorflow = sys.modules.get('tensorflow.python.framework.errors_impl')
  return (OSError, tensorflow.OpError) if tensorflow else (OSError,)


def reason(error: Exception) -> str:
  """Returns the reason in an OSError or an error of TensorFlow's."""
  text = getattr(error, 'strerror', None) or getattr(error, 'message', None)
  # TensorFlow puts the file's name or its operation around it.
  text = (text or str(error)).rpartition('; ')[2].rpartition('}} ')[2]
  return ' '.join(text.partition(' [Op:')[0].split())
