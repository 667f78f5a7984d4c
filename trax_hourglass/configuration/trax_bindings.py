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
from trax_hourglass.configuration.selectors import PREFIX
from trax_hourglass.configuration.values import (
  bound,
  is_reference,
  without_macros,
)
from trax_hourglass.errors import UserError

_OURS = 'trax_hourglass.HourglassLM'
_THEIRS = 'trax.models.HourglassLM'

# Trax's functions that we have a counterpart of. A model passes all of their
# arguments, so bindings of these have no effect, except for those named here.
_COUNTERPARTS = {
  'AttentionResampling': ('AttentionResampling', ()),
  'AveragePooling': ('AveragePooling', ()),
  'LinearPooling': ('LinearPooling', ('dropout',)),
  'LinearUpsampling': ('LinearUpsampling', ('dropout',)),
  'NaiveUpsampling': ('NaiveUpsampling', ()),
  'NoUpsampling': ('NoUpsampling', ()),
  'RelativeAttentionWrapper': ('RelativeAttention', ()),
}

_LSH = 'trax.layers.PureLSHSelfAttention'
_LSH_WRAPPER = 'trax.layers.PureLSHSelfAttentionWrapper'
# Trax's defaults of parameters that ours lacks, and the values ours stands for.
_LSH_WRAPPER_DEFAULTS = {
  'bias': True,
  'num_weights': 3,
  'weights_format': 'model',
  'rotary_position_emb': False,
}
_AS_OURS = {
  'bias': True,
  'num_weights': 2,
  'weights_format': 'model',
  'rotary_position_emb': True,
  'n_chunks_after': 0,
  'max_length_for_buckets': None,
}
_LSH_DEFAULTS = {
  'chunk_len': 128,
  'n_chunks_before': 1,
  'n_hashes': 1,
  'n_buckets': None,
  'n_chunks_after': 0,
  'max_length_for_buckets': None,
}


def take_over(model: str, given: Collection[tuple[str, str, str]] = ()) -> None:
  """Carries the bindings of Trax's HourglassLM over to ours, and trains ours.

  Bindings that ours already has stay, except for one in a file if the command
  line binds the same parameter of Trax's.

  Args:
    model: The value of --model.
    given: Scope, selector and parameter of each binding of --config.

  Raises:
    UserError: If `model` is not our HourglassLM, or a binding has no
      counterpart in ours.
  """
  if model != _OURS:
    raise UserError(f'--model: got {model!r}, expected {_OURS} or one of Trax')
  with gin.unlock_config():
    for scope, parameters in _bindings_of(_THEIRS):
      for name, found in parameters.items():
        ours, theirs = ((scope, one, name) for one in (_OURS, _THEIRS))
        is_given = theirs in given and ours not in given
        if is_given or not _is_bound(scope, _OURS, name):
          gin.bind_parameter((scope, _OURS, name), _translated(found))
    gin.bind_parameter('train.model', _reference(_OURS, _scopes()))
    # The run's `config.gin` then has this import.
    gin.parse_config('import trax_hourglass')


def length_multiple() -> int:
  """Returns the number that Trax's Hourglass needs lengths to be multiples of.

  That follows from its bindings. It is 1 for any other model.
  """
  model = without_macros(bound('train.model'))
  if not is_reference(model) or model.configurable.selector != _THEIRS:
    return 1
  bindings = _effective(_THEIRS, model.scopes)
  hierarchy = str(without_macros(bindings.get('hierarchy', '6@3')))
  factors = re.findall(r'@(\d+)', hierarchy)
  factor = max(map(int, factors), default=1)
  vanilla, middle = (
    _chunk_len(bindings.get(f'{kind}_attn_type'))
    for kind in ('vanilla', 'middle')
  )
  return math.lcm(factor * middle, vanilla)


def _chunk_len(attention_type):
  """Returns the length of the chunks of an attention type, 1 if it has none."""
  function = without_macros(attention_type)
  if not is_reference(function):
    return 1
  configurable = function.configurable
  bindings = _effective(configurable.selector, function.scopes)
  default = inspect.signature(configurable.wrapped).parameters.get('chunk_len')
  chunk_len = without_macros(
    bindings.get('chunk_len', default and default.default)
  )
  if isinstance(chunk_len, int) and chunk_len > 0:
    return chunk_len
  return _chunk_len(bindings.get('pure_lsh_implementation'))


def _scopes():
  """Returns the scopes of the reference `train.model`, usually none."""
  model = without_macros(bound('train.model'))
  return model.scopes if is_reference(model) else []


def _bindings_of(selector):
  """Returns pairs of a scope and a dictionary of its bindings by parameter."""
  return [
    (scope, dict(parameters))
    for (scope, of), parameters in gin_internals.bindings().items()
    if of == selector
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
  name = selector.removeprefix('trax.layers.')
  if name not in _COUNTERPARTS or name == selector:
    return bound_value
  ours, with_effect = _COUNTERPARTS[name]
  for _, parameters in _bindings_of(selector):
    for parameter in with_effect:
      if parameters.get(parameter):
        raise _no_counterpart(
          f'{name}.{parameter}',
          parameters[parameter],
          f"{PREFIX}{ours} takes the model's dropout; bind it to 0.0",
        )
  return _reference(PREFIX + ours, function.scopes)


def _lsh_attention(function):
  """Returns a reference to our LSHAttention, bound as Trax's wrapper is."""
  given = _effective(_LSH_WRAPPER, function.scopes)
  implementation = without_macros(given.pop('pure_lsh_implementation', None))
  selector = getattr(
    getattr(implementation, 'configurable', None), 'selector', None
  )
  if selector != _LSH:
    raise _no_counterpart(
      'PureLSHSelfAttentionWrapper.pure_lsh_implementation',
      implementation,
      f'{PREFIX}LSHAttention is equivalent to PureLSHSelfAttention alone',
    )
  options = {
    **_LSH_WRAPPER_DEFAULTS,
    **_LSH_DEFAULTS,
    **_effective(_LSH, implementation.scopes),
    **given,
  }
  # That of the wrapper: that of the layer it wraps has no effect.
  options['bias'] = given.get('bias', True)
  if without_macros(options['n_buckets']) is not None:
    options['max_length_for_buckets'] = None  # Without effect.
  for name, expected in _AS_OURS.items():
    of = 'Wrapper' if name in _LSH_WRAPPER_DEFAULTS else ''
    if without_macros(options[name]) != expected:
      raise _no_counterpart(
        f'PureLSHSelfAttention{of}.{name}',
        options[name],
        f"{PREFIX}LSHAttention has {expected!r}; bind that, or keep Trax's "
        f'layer in our model with {_OURS}.vanilla_attn_type = @{_LSH_WRAPPER}',
      )
  scope, ours = '/'.join(function.scopes), f'{PREFIX}LSHAttention'
  for name in ('chunk_len', 'n_chunks_before', 'n_hashes', 'n_buckets'):
    if not _is_bound(scope, ours, name):
      gin.bind_parameter((scope, ours, name), options[name])
  return _reference(ours, function.scopes)


def _effective(selector, scopes):
  """Returns the bindings in nested scopes; inner ones override outer ones."""
  bindings = {}
  for n in range(len(scopes) + 1):
    key = '/'.join(scopes[:n]), selector
    bindings.update(gin_internals.bindings().get(key, {}))
  return bindings


def _no_counterpart(name, got, why):
  return UserError(
    f'--model={_OURS}: {name} = {got!r} has no counterpart: {why}'
  )
