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
