"""The one exception that stands for a user's mistake, and a common check."""

import numbers


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
