"""The one exception that stands for a user's mistake."""


class UserError(ValueError):
  """A mistake in what the user gave; its message is one line.

  The line names the thing, what was got, what was expected and what to do.
  Commands print it without a traceback and exit with 2; to other callers it is
  a `ValueError`.
  """
