"""Code of the user's that a run calls: streams, callbacks, metrics.

What it raises reaches the user as one line, when all that was trained is saved.
"""

import contextlib
import os
import traceback

from absl import logging
from trax.layers import base

from trax_hourglass.errors import UserError


@contextlib.contextmanager
def named(what: str):
  """Raises a `UserError` that says what raised, for any exception of the body.

  With --log_level=debug a command prints the traceback, too.
  """
  try:
    yield
  except UserError:
    raise
  except Exception as error:
    logging.debug('%s', what, exc_info=error)
    raise UserError(f'{what} raised {described(error)}') from error


def described(error: BaseException) -> str:
  """Returns an exception's type, message and place, in one line.

  Of a `LayerError` of Trax that is what was raised within the layer.
  """
  while isinstance(error, base.LayerError) and error.__context__:
    error = error.__context__
  message = ' '.join(str(error).split())
  text = f'{type(error).__name__}{message and f": {message}"}'
  frames = traceback.extract_tb(error.__traceback__)
  if not frames:
    return text
  return f'{text} ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})'


class Callback:
  """A callback of Trax's loop, whose exceptions are a `UserError`.

  What it raises at the end of a step waits until the loop has counted that
  step, for the weights are already those after it.
  """

  def __init__(self, callback):
    self._callback = callback
    self._name = f'callback {type(callback).__name__}'
    self._error = None

  def call_at(self, step):
    with named(self._name):
      return self._callback.call_at(step)

  def on_step_begin(self, step):
    with named(self._name):
      self._callback.on_step_begin(step)

  def on_step_end(self, step):
    try:
      with named(self._name):
        self._callback.on_step_end(step)
    except BaseException as error:  # SystemExit, too, ends a run.
      self._error = error

  def raise_error(self) -> None:
    """Raises what `on_step_end` has raised, if anything."""
    error, self._error = self._error, None
    if error is not None:
      raise error
