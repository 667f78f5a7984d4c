"""Bindings of Trax's Hourglass in a gin file, carried over to ours.

`--model=trax_hourglass.HourglassLM` asks for that in every command, so the file
need not be edited. Ours has the same weights, so checkpoints fit either way.
"""

from collections.abc import Collection
import inspect
import math
import re

import gin

from trax_hourglass.configuration import gin_internals
from trax_hourglass.configuration.gin_internals import Key
from trax_hourglass.configuration.selectors import PREFIX
from trax_hourglass.configuration.values import (
  effective,
  is_reference,
  reference,
  without_macros,
)
from trax_hourglass.errors import UserError

_OURS = 'trax_hourglass.HourglassLM'
_THEIRS = 'trax.models.HourglassLM'

# Our counterparts of Trax's functions. A model passes all of their arguments,
# so bindings of these have no effect, except for those named here.
_COUNTERPARTS = {
  'trax.layers.AttentionResampling': ('AttentionResampling', ()),
  'trax.layers.AveragePooling': ('AveragePooling', ()),
  'trax.layers.LinearPooling': ('LinearPooling', ('dropout',)),
  'trax.layers.LinearUpsampling': ('LinearUpsampling', ('dropout',)),
  'trax.layers.NaiveUpsampling': ('NaiveUpsampling', ()),
  'trax.layers.NoUpsampling': ('NoUpsampling', ()),
  'trax.layers.RelativeAttentionWrapper': ('RelativeAttention', ()),
}

_LSH = 'trax.layers.PureLSHSelfAttention'
_LSH_WRAPPER = 'trax.layers.PureLSHSelfAttentionWrapper'
# Parameters of Trax's that ours lacks, and the values that ours stands for.
_AS_OURS = {
  'bias': True,
  'num_weights': 2,
  'weights_format': 'model',
  'rotary_position_emb': True,
  'n_chunks_after': 0,
  'max_length_for_buckets': None,
}


def take_over(model: str, given: Collection[Key] = ()) -> None:
  """Carries the bindings of Trax's HourglassLM over to ours, and trains ours.

  Bindings that ours already has stay, except for one in a file if the command
  line binds the same parameter of Trax's.

  Args:
    model: The value of --model.
    given: The bindings of --config.

  Raises:
    UserError: If `model` is not our HourglassLM, or a binding has no
      counterpart in ours.
  """
  if model != _OURS:
    raise UserError(f'--model: got {model!r}, expected {_OURS} or one of Trax')
  found = reference('train.model')
  with gin.unlock_config():
    for scope, parameters in _bindings_by_scope(_THEIRS):
      for name, bound_value in parameters.items():
        ours, theirs = ((scope, one, name) for one in (_OURS, _THEIRS))
        is_given = theirs in given and ours not in given
        if is_given or not _is_bound(*ours):
          gin.bind_parameter(ours, _translated(bound_value))
    scopes = found.scopes if found else []
    gin.bind_parameter('train.model', _reference(_OURS, scopes))
    # The run's `config.gin` then has this import.
    gin.parse_config('import trax_hourglass')


def length_multiple() -> int:
  """Returns the number that Trax's Hourglass needs lengths to be multiples of.

  That follows from its bindings. It is 1 for any other model.
  """
  model = reference('train.model')
  if not model or model.configurable.selector != _THEIRS:
    return 1
  arguments = _arguments(model)
  factors = map(int, re.findall(r'@(\d+)', str(arguments['hierarchy'])))
  return math.lcm(
    max(factors, default=1) * _chunk_len(arguments['middle_attn_type']),
    _chunk_len(arguments['vanilla_attn_type']),
  )


def _chunk_len(attention_type):
  """Returns the length of the chunks of an attention type, 1 if it has none."""
  if not is_reference(attention_type):
    return 1
  arguments = _arguments(attention_type)
  chunk_len = arguments.get('chunk_len')
  if isinstance(chunk_len, int) and chunk_len > 0:
    return chunk_len
  return _chunk_len(arguments.get('pure_lsh_implementation'))


def _arguments(function):
  """Returns the bindings and defaults of a reference, without macros."""
  configurable = function.configurable
  parameters = inspect.signature(configurable.wrapped).parameters
  arguments = {name: one.default for name, one in parameters.items()}
  arguments.update(effective(configurable.selector, function.scopes))
  return {name: without_macros(found) for name, found in arguments.items()}


def _bindings_by_scope(selector):
  """Returns pairs of a scope and a dictionary of its bindings by parameter."""
  return [
    (scope, dict(parameters))
    for (scope, one), parameters in gin_internals.bindings().items()
    if one == selector
  ]


def _is_bound(scope, selector, name):
  return name in gin_internals.bindings().get((scope, selector), {})


def _reference(selector, scopes):
  return gin.config.ConfigurableReference('/'.join([*scopes, selector]), False)


def _translated(bound_value):
  """Returns a bound value, with a function of Trax's replaced by ours."""
  function = without_macros(bound_value)
  if not is_reference(function) or function.evaluate:
    return bound_value
  selector = function.configurable.selector
  if selector == _LSH_WRAPPER:
    return _lsh_attention(function)
  if selector not in _COUNTERPARTS:
    return bound_value
  ours, with_effect = _COUNTERPARTS[selector]
  for _, parameters in _bindings_by_scope(selector):
    for parameter in with_effect:
      if parameters.get(parameter):
        raise _no_counterpart(
          f'{function.configurable.name}.{parameter}',
          parameters[parameter],
          f"{PREFIX}{ours} takes the model's dropout; bind it to 0.0",
        )
  return _reference(PREFIX + ours, function.scopes)


def _lsh_attention(function):
  """Returns a reference to our LSHAttention, bound as Trax's wrapper is."""
  wrapper = _arguments(function)
  implementation = wrapper['pure_lsh_implementation']
  if not (
    is_reference(implementation)
    and implementation.configurable.selector == _LSH
  ):
    raise _no_counterpart(
      'PureLSHSelfAttentionWrapper.pure_lsh_implementation',
      implementation,
      f'{PREFIX}LSHAttention is equivalent to PureLSHSelfAttention alone',
    )
  # The layer inside takes the wrapper's bias.
  options = {**_arguments(implementation), **wrapper}
  if options['n_buckets'] is not None:
    options['max_length_for_buckets'] = None  # Without effect.
  for name, expected in _AS_OURS.items():
    if options[name] != expected:
      layer = 'PureLSHSelfAttention' + 'Wrapper' * (name in wrapper)
      raise _no_counterpart(
        f'{layer}.{name}',
        options[name],
        f"{PREFIX}LSHAttention has {expected!r}; bind that, or keep Trax's "
        f'layer in our model with {_OURS}.vanilla_attn_type = @{_LSH_WRAPPER}',
      )
  scope, ours = '/'.join(function.scopes), f'{PREFIX}LSHAttention'
  for name in ('chunk_len', 'n_chunks_before', 'n_hashes', 'n_buckets'):
    if not _is_bound(scope, ours, name):
      gin.bind_parameter((scope, ours, name), options[name])
  return _reference(ours, function.scopes)


def _no_counterpart(name, got, why):
  return UserError(
    f'--model={_OURS}: {name} = {got!r} has no counterpart: {why}'
  )
