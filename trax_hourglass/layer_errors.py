"""What goes wrong while layers are built and traced, in one line.

Trax says it in a `LayerError` for each layer around, with a traceback; or, as
where a sequence's length does not fit, JAX says it, of arrays that no user has
made. Here the innermost layer is named, and what came into it. An error in code
of this package or the user's keeps its traceback.
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

from trax_hourglass import trax_bindings
from trax_hourglass.errors import UserError

# What a value that a user gives, or a shape that it leads to, ends in.
_KINDS = (
  ArithmeticError,
  AssertionError,
  AttributeError,
  LookupError,
  NotImplementedError,
  TypeError,
  ValueError,
)

# Whose frames say nothing of who has made the mistake.
_LIBRARIES = tuple(
  os.path.dirname(of.__file__) + os.sep for of in (jax, np, fastmath)
)
_TRAX_LAYERS = tuple(
  os.path.dirname(of.__file__) + os.sep for of in (layers, models)
)


@contextlib.contextmanager
def told() -> Iterator[None]:
  """Raises a `UserError` for what `one_line` knows, while layers are traced."""
  try:
    yield
  except Exception as error:
    message = one_line(error)
    if message is None:
      raise
    logging.debug('While tracing', exc_info=error)
    raise UserError(message) from error


def cause(error: BaseException) -> BaseException:
  """Returns the error that Trax's `LayerError`s are around, or itself."""
  while isinstance(error, base.LayerError) and error.__context__:
    error = error.__context__
  return error


def one_line(error: BaseException) -> str | None:
  """Returns what Trax's layers could not do, in one line.

  `None` where code of this package or the user's has failed, or the error is of
  another kind.
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
  """Returns the name of the layer or model of Trax's that gin was to make."""
  found = re.search(r"In call to configurable '(\S+)'", str(error))
  if not found or not found[1].isidentifier():
    return None
  selectors = gin.config._REGISTRY.matching_selectors(found[1])
  of_layers = 'trax.layers.', 'trax.models.'
  return found[1] if any(x.startswith(of_layers) for x in selectors) else None


def _text(error):
  text = ' '.join(str(error).partition('\n  In call to')[0].split())
  return text or _frames(error)[-1].line  # As of most of Trax's assertions.


def _advice(error):
  """Returns what to do where Trax's Hourglass cannot take a length."""
  length, multiple = _n_tokens(error), trax_bindings.length_multiple()
  if length % multiple == 0:
    return ''
  return (
    f'; got {length} tokens, of which trax.models.HourglassLM takes a multiple '
    f'of {multiple}, for its total shorten factor and the chunk_len of its '
    'attention; --model=trax_hourglass.HourglassLM takes any number'
  )


def _n_tokens(error):
  """Returns the length of what came into the model; 0 if that is not known."""
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
  """Returns words for the innermost layer and its input."""
  layer = _innermost(error)
  shape = _shape(layer._input_signature)
  return f'layer {layer._layer_name}, of an input of shape {shape}'


def _shape(signature):
  if hasattr(signature, 'shape'):
    return str(tuple(signature.shape))
  if isinstance(signature, tuple | list):
    return ', '.join(map(_shape, signature))
  return str(signature)


def _frames(error):
  return traceback.extract_tb(error.__traceback__)


def _is_of_trax_layers(error):
  """Returns whether the innermost code, but for JAX's, is of Trax's layers."""
  for frame in reversed(_frames(error)):
    if not frame.filename.startswith(_LIBRARIES):
      return frame.filename.startswith(_TRAX_LAYERS)
  return False
