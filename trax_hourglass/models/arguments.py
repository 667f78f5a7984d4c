"""A model's arguments as JSON, functions by their public names."""

import functools
import json

import numpy as np
from trax import layers as tl
from trax.layers import activation_fns
from trax.layers.research import resampling as trax_resampling

from trax_hourglass import layers
from trax_hourglass.errors import UserError
from trax_hourglass.layers.attention.types import TRAX_TYPES
from trax_hourglass.layers.checks import unwrapped

_ACTIVATIONS = activation_fns.__name__
OURS = (
  layers.AttentionResampling,
  layers.AveragePooling,
  layers.LSHAttention,
  layers.LinearPooling,
  layers.LinearUpsampling,
  layers.LocalAttention,
  layers.NaiveUpsampling,
  layers.NoUpsampling,
  layers.RelativeAttention,
  layers.RotaryAttention,
)
_TRAX = (
  *TRAX_TYPES,
  *(
    getattr(trax_resampling, function.__name__)
    for function in OURS
    if hasattr(trax_resampling, function.__name__)
  ),
  *(
    function
    for name, function in vars(activation_fns).items()
    if name[0].isupper() and unwrapped(function).__module__ == _ACTIVATIONS
  ),
)
# All that a file may name. Those of Trax are unwrapped, so that what gin binds
# for a training run does not affect a model that is loaded during it.
FUNCTIONS = {
  **{f'trax_hourglass.{f.__name__}': f for f in OURS},
  **{f'trax.layers.{f.__name__}': f for f in map(unwrapped, _TRAX)},
}


def to_json(tree) -> str:
  """Returns plain values as JSON, always the same for the same values.

  Args:
    tree: Dictionaries, lists, numbers, strings, and functions, which may have
      options, bound by `functools.partial`.

  Raises:
    UserError: If a function is not in `FUNCTIONS`.
  """
  return json.dumps(tree, default=_encoded, sort_keys=True)


def from_json(text: str):
  """Returns the tree that `to_json` was given, with lists for tuples.

  It calls no function.

  Raises:
    UserError: If it names a function that is not in `FUNCTIONS`.
    ValueError: If it is not JSON.
  """
  return json.loads(text, object_hook=_decoded)


def _encoded(value):
  if isinstance(value, np.generic):
    return value.item()
  options = {}
  function = value
  while isinstance(function, functools.partial) and not function.args:
    options = {**function.keywords, **options}
    function = function.func
  for name, known in FUNCTIONS.items():
    # gin's wrappers of ours hide what gin has bound. Trax exports its own
    # functions in wrappers of gin, and its classes as subclasses.
    is_same = function is known or (
      name.startswith('trax.')
      and (
        unwrapped(function) is known
        or function is getattr(tl, known.__name__, 0)
      )
    )
    if is_same:
      return {'function': name, 'options': options}
  what = getattr(function, '__qualname__', None)
  what = f'{function.__module__}.{what}' if what else repr(value)
  raise UserError(
    f'arguments: got {what}, expected a function of trax_hourglass or of '
    'trax.layers, or functools.partial of one with keywords; '
    'python -m trax_hourglass.export takes what gin has bound'
  )


def _decoded(value):
  if value.keys() != {'function', 'options'}:
    return value
  if value['function'] not in FUNCTIONS:
    raise UserError(
      f'arguments: got the function {value["function"]!r}, expected one of '
      f'{", ".join(FUNCTIONS)}'
    )
  function, options = FUNCTIONS[value['function']], value['options']
  return functools.partial(function, **options) if options else function
