"""Errors in the user's code that a run calls: streams, callbacks, metrics.

They reach the user as one line, after all trained steps are saved.
"""

import contextlib
import os
import traceback

from absl import logging
from trax.layers import base

from trax_hourglass.errors import UserError


@contextlib.contextmanager
def named(what: str):
  """Turns any exception in the body into a `UserError` that names `what`.

  With --log_level=debug, a command prints the traceback, too.
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

  For a `LayerError` of Trax these are of the exception within the layer.
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
  """Wraps a callback of Trax's loop, and turns its exceptions into `UserError`.

  One raised at the end of a step is held back until the loop has counted that
  step, because the weights are already those after the step.
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
    except BaseException as error:  # SystemExit ends a run, too.
      self._error = error

  def raise_error(self) -> None:
    """Raises the exception of `on_step_end`, if there was one."""
    error, self._error = self._error, None
    if error is not None:
      raise error
