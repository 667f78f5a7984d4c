"""One-line messages for errors in Trax's layers while they are built or traced.

Trax itself wraps such an error in a `LayerError` for each enclosing layer, with
a traceback; or JAX complains about arrays that no user has made, for example if
a sequence's length does not fit. The messages here name the innermost layer and
the shape of its input. An error in code of this package or of the user keeps
its traceback.
"""

from collections.abc import Iterator
import contextlib
import os
import re
import traceback

from absl import logging
import gin
import jax
import numpy as np
from trax import fastmath, layers, models
from trax.layers import base

from trax_hourglass.configuration import trax_bindings
from trax_hourglass.errors import UserError

# Errors that a user's value, or a shape that follows from it, may cause.
_KINDS = (
  ArithmeticError,
  AssertionError,
  AttributeError,
  LookupError,
  NotImplementedError,
  TypeError,
  ValueError,
)

# Folders of libraries whose stack frames do not show whose mistake an error is.
_LIBRARIES = tuple(
  os.path.dirname(package.__file__) + os.sep for package in (jax, np, fastmath)
)
_TRAX_LAYERS = tuple(
  os.path.dirname(package.__file__) + os.sep for package in (layers, models)
)


@contextlib.contextmanager
def told() -> Iterator[None]:
  """Raises a `UserError` for an error in the body that `one_line` explains."""
  try:
    yield
  except Exception as error:
    message = one_line(error)
    if message is None:
      raise
    logging.debug('While tracing', exc_info=error)
    raise UserError(message) from error


def cause(error: BaseException) -> BaseException:
  """Returns the error inside Trax's nested `LayerError`s, or `error` itself."""
  while isinstance(error, base.LayerError) and error.__context__:
    error = error.__context__
  return error


def one_line(error: BaseException) -> str | None:
  """Returns an error raised within Trax's layers, as one line.

  Returns `None` if code of this package or of the user has failed, or the error
  is of another kind.
  """
  inner = cause(error)
  if isinstance(error, base.LayerError):
    if isinstance(inner, UserError):
      return str(inner)
    where, advice = _layer(error), _advice(error)
  elif name := _configurable(error):
    where, advice = name, '; correct its bindings'
  else:
    return None
  if not isinstance(inner, _KINDS) or not _is_of_trax_layers(inner):
    return None
  return f'{where}: {type(inner).__name__}: {_text(inner)}{advice}'


def _configurable(error):
  """Returns the name of the Trax layer or model that gin failed to build."""
  found = re.search(r"In call to configurable '(\S+)'", str(error))
  if not found or not found[1].isidentifier():
    return None
  selectors = gin.config._REGISTRY.matching_selectors(found[1])
  of_layers = 'trax.layers.', 'trax.models.'
  return found[1] if any(x.startswith(of_layers) for x in selectors) else None


def _text(error):
  text = ' '.join(str(error).partition('\n  In call to')[0].split())
  # Most of Trax's assertions have no text: show the line of code.
  return text or _frames(error)[-1].line


def _advice(error):
  """Returns what to do if Trax's Hourglass cannot take the length, else ''."""
  length, multiple = _n_tokens(error), trax_bindings.length_multiple()
  if length % multiple == 0:
    return ''
  return (
    f'; got {length} tokens, expected a multiple of {multiple}, because of the '
    'total shorten factor and chunk_len of trax.models.HourglassLM; '
    '--model=trax_hourglass.HourglassLM takes any number'
  )


def _n_tokens(error):
  """Returns the length of the model's input, 0 if that is not known."""
  while isinstance(error, base.LayerError):
    shape = getattr(error._input_signature, 'shape', ())
    if len(shape) == 2:
      return shape[1]
    error = error.__context__
  return 0


def _innermost(error):
  while isinstance(error.__context__, base.LayerError):
    error = error.__context__
  return error


def _layer(error):
  """Describes the innermost layer and its input."""
  layer = _innermost(error)
  shape = _shape(layer._input_signature)
  return f'layer {layer._layer_name}, with an input of shape {shape}'


def _shape(signature):
  if hasattr(signature, 'shape'):
    return str(tuple(signature.shape))
  if isinstance(signature, tuple | list):
    return ', '.join(map(_shape, signature))
  return str(signature)


def _frames(error):
  return traceback.extract_tb(error.__traceback__)


def _is_of_trax_layers(error):
  """Returns whether the innermost frame outside `_LIBRARIES` is in a layer."""
  for frame in reversed(_frames(error)):
    if not frame.filename.startswith(_LIBRARIES):
      return frame.filename.startswith(_TRAX_LAYERS)
  return False
