"""Errors in the user's code that a run calls: streams, callbacks, metrics.

They reach the user as one line, after all trained steps are saved.
"""

from collections.abc import Callable, Iterable
import contextlib
import os
import traceback

from absl import logging
from trax.layers import base

from trax_hourglass.errors import UserError


@contextlib.contextmanager
def named(what: str):
  """Turns any exception in the body into a `UserError` that names `what`.

  With --log_level=1, a command prints the traceback, too.
  """
  try:
    yield
  except UserError:
    raise
  except Exception as error:
    logging.debug('%s', what, exc_info=error)
    raise UserError(f'{what} raised {describe(error)}') from error


def describe(error: BaseException) -> str:
  """Returns an exception's type, message and place, in one line.

  A `LayerError` of Trax is described by the exception within the layer.
  """
  while isinstance(error, base.LayerError) and error.__context__:
    error = error.__context__
  message = ' '.join(str(error).split())
  text = f'{type(error).__name__}{message and f": {message}"}'
  frames = traceback.extract_tb(error.__traceback__)
  if not frames:
    return text
  return f'{text} ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})'


def check_subclass(subclass: type, loop: type) -> None:
  """Raises `UserError` if a subclass overrides a method that no run calls."""
  if subclass.save_checkpoint is not loop.save_checkpoint:
    raise UserError(
      f'{subclass.__name__}.save_checkpoint: got a method of a subclass, which '
      'no run calls, because checkpoints are written while training goes on; '
      'give it another name, and call it in a callback'
    )


class Callbacks:
  """The callbacks of a loop, called at the steps that they choose."""

  def __init__(self, loop, classes: Iterable[Callable]):
    self._callbacks = [make(loop) for make in classes]

  def call(self, method: str, step: int) -> None:
    """Calls 'on_step_begin' or 'on_step_end' of each."""
    for callback in self._callbacks:
      with named(f'callback {type(callback).__name__}'):
        if callback.call_at(step):
          getattr(callback, method)(step)
