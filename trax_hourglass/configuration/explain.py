"""Errors of gin and of Trax's layers, as one line that says what to do.

gin has no types for its errors and adds its list of callers to the message of
whatever fails below it, so this module reads messages. Trax wraps an error in a
`LayerError` for each enclosing layer; the line names the innermost layer and
the shape of its input. An error in code of this package or of the user keeps
its traceback.
"""

from collections.abc import Iterator
import contextlib
import os
import re
import tokenize
import traceback

from absl import logging
import jax
import numpy as np
from trax import fastmath, layers, models
from trax.layers import base

from trax_hourglass.configuration import (
  gin_internals,
  memory_advice,
  trax_bindings,
)
from trax_hourglass.errors import UserError, file_errors
from trax_hourglass.training import user_code

# Raised by gin for a file that is wrong.
GIN_ERRORS = (
  ValueError,
  LookupError,
  OSError,
  ImportError,
  RecursionError,
  SyntaxError,
  tokenize.TokenError,
)

# Errors that a user's value, or a shape that follows from it, may cause.
_LAYER_ERRORS = (
  ArithmeticError,
  AssertionError,
  AttributeError,
  LookupError,
  NotImplementedError,
  TypeError,
  ValueError,
)

_CALL = re.compile(r"\n\s*In call to configurable '(\S+)'")
_NO_VALUES = 'No values supplied by Gin or caller for arguments'
_UNBOUND = re.compile(f'Required bindings for|{_NO_VALUES}')
_FIX = 'correct the gin file or --config'

# gin's messages, and the lines that replace them.
_REPLACEMENTS = (
  (
    r"No bindings specified for '(?:\S*/)?(\S+)/gin\.macro'",
    "gin: %{0} is used and not bound; add for example --config='{0} = 100'",
  ),
  (
    r'Unable to open file: (\S*)\. Searched config paths: \[.*?\]\.?(.*)',
    'gin: Unable to open file: {0}{1}; give --config_file a path, or the name '
    'of a file in gin/, such as quickstart.gin',
  ),
  (
    rf"{_NO_VALUES}: (\[.*?\]).*?In call to configurable '(\S+)'",
    "{1}: nothing is bound to {0}; bind it, as in --config='{1}.NAME = VALUE'",
  ),
  (
    r'Ambiguous selector (\S+), matches (\[.*\])',
    'gin: Ambiguous selector {0}; write one of {1}',
  ),
  (
    r"Configurable '(optax\S+)' has denylisted kwarg '(learning_rate)'",
    '{0}.{1}: cannot be bound, because the rate is that of '
    'train.lr_schedule_fn; bind that, or factors in trax_hourglass.Optax.rates',
  ),
)


def _folder(package):
  return os.path.dirname(package.__file__) + os.sep


# Stack frames in these libraries do not show whose mistake an error is.
_LIBRARIES = tuple(map(_folder, (jax, np, fastmath)))
_TRAX_LAYERS = tuple(map(_folder, (layers, models)))


@contextlib.contextmanager
def config_errors() -> Iterator[None]:
  """Raises a `UserError` for whatever a configuration can do wrong.

  That is, for a ValueError or OSError, for arguments that gin found no binding
  for, for a TypeError where gin called, and for errors in Trax's layers. Any
  other error is a bug of ours, and keeps its traceback.
  """
  with _one_line(_config_error):
    yield


@contextlib.contextmanager
def layer_errors() -> Iterator[None]:
  """Raises a `UserError` for an error in Trax's layers, as they are traced."""
  with _one_line(_layer_error):
    yield


@contextlib.contextmanager
def training_errors() -> Iterator[None]:
  """Raises a `UserError` as `layer_errors` does, and if memory runs out."""
  with _one_line(lambda error: _memory_error(error) or _layer_error(error)):
    yield


@contextlib.contextmanager
def _one_line(explanation):
  try:
    yield
  except Exception as error:
    message = explanation(error)
    if message is None:
      raise
    logging.debug('Explained in one line', exc_info=error)
    raise UserError(message) from error


def gin_error(error: BaseException) -> str:
  """Returns a line on one of `GIN_ERRORS`, with what to do about it."""
  if _is_in_imported_module(error):
    return f'gin: a module that it imports raised {user_code.describe(error)}'
  text = ' '.join(str(error).split())
  for pattern, line in _REPLACEMENTS:
    if found := re.search(pattern, text):
      return line.format(*found.groups())
  if isinstance(error, RecursionError):
    return 'gin: a file includes itself; take that `include` out'
  if isinstance(error, tokenize.TokenError):
    return f'gin: {error.args[0]}, in the last line; {_FIX}'
  return f'gin: {_text(error) or type(error).__name__}; {_FIX}'


def _config_error(error):
  cause = _cause(error)
  if _UNBOUND.search(str(cause)):
    return gin_error(cause)
  if line := _layer_error(error):
    return line
  if isinstance(cause, (ValueError, *file_errors())):
    return _text(cause) or type(cause).__name__
  if isinstance(error, TypeError) and (call := _CALL.search(str(error))):
    return f'{call[1]}: {_text(error)}; correct the types of its bindings'
  return None


def _layer_error(error):
  """Returns a line on an error within Trax's layers, `None` for any other."""
  inner = _cause(error)
  if isinstance(error, base.LayerError):
    if isinstance(inner, UserError):
      return str(inner)
    where, advice = _innermost_layer(error), _length_advice(error)
  elif name := _failed_layer_function(error):
    where, advice = name, '; correct its bindings'
  else:
    return None
  if not isinstance(inner, _LAYER_ERRORS) or not _is_in_trax_layers(inner):
    return None
  # Most of Trax's assertions have no text: show the line of code.
  text = _text(inner) or _frames(inner)[-1].line
  return f'{where}: {type(inner).__name__}: {text}{advice}'


def _memory_error(error):
  """Returns a line that names bindings which take less memory."""
  cause = _cause(error)
  if not (
    isinstance(cause, jax.errors.JaxRuntimeError)
    and 'RESOURCE_EXHAUSTED' in str(cause)
  ):
    return None
  return (
    f'out of memory ({_text(cause).partition(". ")[0]}); bind '
    f'{memory_advice.advice() or "a smaller model"}; '
    'python -m trax_hourglass.memory prints the memory that each needs'
  )


def _text(error):
  """Returns an error's message in one line, without gin's list of callers."""
  text = _CALL.split(str(error))[0]
  if isinstance(error, SyntaxError) and error.text:
    text += f': {error.text}'
  return ' '.join(text.split())


def _chain(error):
  """Yields Trax's nested `LayerError`s, and the error inside the innermost."""
  yield error
  while isinstance(error, base.LayerError) and error.__context__:
    error = error.__context__
    yield error


def _cause(error):
  *_, cause = _chain(error)
  return cause


def _failed_layer_function(error):
  """Returns the name of the Trax layer or model that gin failed to build."""
  call = _CALL.search(str(error))
  if not call or not call[1].isidentifier():
    return None
  selectors = gin_internals.registry().matching_selectors(call[1])
  prefixes = 'trax.layers.', 'trax.models.'
  return call[1] if any(x.startswith(prefixes) for x in selectors) else None


def _length_advice(error):
  """Returns what to do if Trax's Hourglass cannot take the length, else ''."""
  shapes = (
    getattr(one._input_signature, 'shape', ())
    for one in _chain(error)
    if isinstance(one, base.LayerError)
  )
  length = next((shape[1] for shape in shapes if len(shape) == 2), 0)
  multiple = trax_bindings.length_multiple()
  if length % multiple == 0:
    return ''
  return (
    f'; got {length} tokens, expected a multiple of {multiple}, because of the '
    'total shorten factor and chunk_len of trax.models.HourglassLM; '
    '--model=trax_hourglass.HourglassLM takes any number'
  )


def _innermost_layer(error):
  """Describes the innermost layer and its input."""
  *_, layer = (x for x in _chain(error) if isinstance(x, base.LayerError))
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


def _is_in_imported_module(error):
  """Returns whether code that a gin file imports raised, not the import."""
  names = [frame.name for frame in _frames(error)]
  is_import_error = isinstance(error, ImportError)
  return 'process_import' in names[:-1] and not is_import_error


def _is_in_trax_layers(error):
  """Returns whether the innermost frame outside `_LIBRARIES` is in a layer."""
  for frame in reversed(_frames(error)):
    if not frame.filename.startswith(_LIBRARIES):
      return frame.filename.startswith(_TRAX_LAYERS)
  return False
