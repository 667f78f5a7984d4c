"""Attention types: which attention a block uses, as a value.

An attention type is a function with the signature of `RelativeAttention`:

  attention_type(d_model, n_heads=..., dropout=..., mode=...,
                 context_bias_layer=..., location_bias_layer=...,
                 total_pooling=...)

It returns a causal layer from `(batch, length, d_model)` to the same shape, and
may have options of its own, as keywords with defaults. `dropout` is that of the
attention weights: a block drops the outputs itself.

In mode `'predict'` it is also called with `max_inference_length`, the number of
tokens of the whole model to make room for, and maps the vectors that follow
those of earlier calls.

The causal attention of `trax.layers` is called in other ways: see `_ADAPTERS`.
Options that gin or `functools.partial` has bound remain bound.
"""

import functools

from jax import numpy as jnp
from trax import layers as tl
from trax.layers import attention, base, convolution
from trax.layers.research import efficient_attention, rel_attention, sparsity

from trax_hourglass.errors import UserError
from trax_hourglass.kernels.alignment import Alignment
from trax_hourglass.layers.attention.cached import OneByOne
from trax_hourglass.layers.basic import Stored, float_type, layers_of
from trax_hourglass.layers.checks import (
  check_dropout,
  check_heads,
  check_mode,
  unwrapped,
)

# Layers that sort a sequence, ours among them as a `PureLSHSelfAttention`.
_SORTING = (
  efficient_attention.LSHFF,
  efficient_attention.LSHSelfAttention,
  efficient_attention.MixedLSHSelfAttention,
  efficient_attention.PureLSHSelfAttention,
)


def attention_layer(
  attention_type,
  d_model,
  n_heads=1,
  dropout=0.0,
  mode='train',
  context_bias_layer=None,
  location_bias_layer=None,
  total_pooling=1,
  max_inference_length=2048,
):
  """Returns the layer of an attention type: ours, Trax's or any other.

  `attention_type` is a function as described above, or one of `trax.layers`
  that makes causal self-attention. All other arguments are those of
  `RelativeAttention`.

  Raises:
    UserError: If that is not an attention type, or cannot run in mode
      `'predict'`, or an argument is out of its range.
  """
  if not callable(attention_type) or isinstance(attention_type, base.Layer):
    raise UserError(
      f'attention type: got {_name(attention_type)}, expected the function '
      'that makes the layer, such as RelativeAttention'
    )
  check_mode(mode)
  check_dropout(dropout)
  check_heads(d_model, n_heads)
  call = {
    'n_heads': n_heads,
    'dropout': dropout,
    'mode': mode,
    'context_bias_layer': context_bias_layer,
    'location_bias_layer': location_bias_layer,
    'total_pooling': total_pooling,
  }
  make_layer, make_cached_layer = _adapters(attention_type)
  if mode == 'predict':
    make_layer = make_cached_layer
    call['max_inference_length'] = max_inference_length
  layer = make_layer(attention_type, d_model, call)
  if not isinstance(layer, base.Layer) or (layer.n_in, layer.n_out) != (1, 1):
    raise UserError(
      f'attention type {_name(attention_type)}: got {_name(layer)}, expected '
      'that it returns a layer from one array to one array'
    )
  return layer


def is_strictly_causal(layer):
  """Returns whether no output of a causal layer depends on later inputs at all.

  With LSH attention anywhere in it, outputs do, by way of the sorting.
  """
  return not any(layers_of(layer, _SORTING))


def _ours(attention_type, d_model, call):
  return attention_type(d_model, **call)


def _relative(attention_type, d_model, call):
  return _fitted(attention_type(d_model, **call))


def _plain(attention_type, d_model, call):
  keywords = {name: call[name] for name in ('n_heads', 'dropout', 'mode')}
  return _fitted(attention_type(d_model, **keywords))


def _cached_plain(attention_type, d_model, call):
  with_room = functools.partial(
    attention_type, max_inference_length=_cache_length(call)
  )
  layer = _plain(with_room, d_model, call)
  if any(layers_of(layer, convolution.CausalDepthwiseConv)):
    raise UserError(
      f'attention type {_name(attention_type)}: got use_dconv=True, whose '
      "convolution keeps nothing for mode 'predict'; expected use_dconv=False"
    )
  return layer


def _efficient(attention_type, d_model, call, **options):
  d_head = d_model // call['n_heads']
  keywords = {
    'n_heads': call['n_heads'],
    'd_qk': d_head,
    'd_v': d_head,
    'causal': True,
    'masked': False,
    'attention_dropout': call['dropout'],
    'output_dropout': 0.0,  # A block drops the outputs itself.
    'mode': call['mode'],
  }
  return _fitted(attention_type(**keywords | options))


def _cached_efficient(attention_type, d_model, call):
  options = vars(attention_type(mode='eval'))
  if options['_bias']:
    raise UserError(
      f'attention type {_name(attention_type)}: got bias=True, which Trax '
      "leaves out in mode 'predict'; expected bias=False"
    )
  if not options['_chunk_len']:
    length = _cache_length(call)
    limits = {'predict_mem_len': length, 'predict_drop_len': length}
    return _efficient(attention_type, d_model, call, **limits)

  # Only one by one does Trax forget the chunks that are out of reach.
  def one_by_one(**keywords):
    return OneByOne(attention_type(**keywords))

  return _efficient(one_by_one, d_model, call)


def _cache_length(call):
  alignment = Alignment(total_pooling=call['total_pooling'])
  return alignment.cache_length(call['max_inference_length'])


def _without_weights(attention_type, d_model, call):
  with_weights = functools.partial(
    tl.PureLSHSelfAttentionWrapper, pure_lsh_implementation=attention_type
  )
  return _efficient(with_weights, d_model, call)


def _uncached(attention_type, d_model, call):
  del d_model, call
  cached = [kind for kind, (_, make) in _ADAPTERS.items() if make != _uncached]
  raise UserError(
    "attention type in mode 'predict': got Trax's "
    f'{_name(unwrapped(attention_type))}, which keeps no cache of what it '
    'attends to; use RelativeAttention, RotaryAttention, LSHAttention or one '
    f'of {_names(cached)}'
  )


def _fitted(layer):
  """Returns a layer of Trax in the place of one of ours.

  It computes in float32, where Trax would compute softmax and sums in bfloat16,
  returns the precision of its input, and checks lengths.
  """

  def check_length(x):
    _check_chunks(layer, x.shape[1])
    return x.astype(jnp.float32)

  return tl.Serial(
    tl.Dup(),  # x, x
    tl.Fn('CheckLength', check_length),
    layer,
    tl.Fn('KeepPrecision', lambda y, x: y.astype(float_type(x))),
    Stored(),
  )


def _check_chunks(layer, length):
  """Raises `UserError` if Trax can't cut `length` vectors into its chunks."""
  if length <= (getattr(layer, '_std_length', None) or 0):
    return  # MixedLSHSelfAttention leaves short sequences whole.
  chunk_len = getattr(layer, '_chunk_len', None)
  if chunk_len and length % chunk_len:
    raise UserError(
      f'{type(layer).__name__}.chunk_len: got {chunk_len}, expected a divisor '
      f'of the length {length}; change either, or use LSHAttention, which '
      'takes any length'
    )
  for sublayer in layer.sublayers:
    _check_chunks(sublayer, length)


# For each attention type of Trax the function that calls it, and the one that
# calls it in mode 'predict': `_uncached` refuses a type that keeps no cache, or
# whose outputs are others than in 'eval'.
_ADAPTERS = {
  unwrapped(sparsity.CausalFavor): (_plain, _uncached),
  efficient_attention.SelfAttention: (_efficient, _cached_efficient),
  efficient_attention.LSHSelfAttention: (_efficient, _uncached),
  efficient_attention.PureLSHSelfAttentionWrapper: (_efficient, _uncached),
  efficient_attention.PureLSHSelfAttention: (_without_weights, _uncached),
  efficient_attention.MixedLSHSelfAttention: (_without_weights, _uncached),
  unwrapped(rel_attention.RelativeAttentionWrapper): (_relative, _uncached),
}
for _attention_type in (
  attention.CausalAttention,
  sparsity.ConvCausalAttention,
  sparsity.LowRankCausalAttention,
  sparsity.ModularCausalAttention,
  sparsity.MultiplicativeCausalAttention,
  sparsity.MultiplicativeConvCausalAttention,
  sparsity.MultiplicativeModularCausalAttention,
):
  _ADAPTERS[unwrapped(_attention_type)] = _plain, _cached_plain

# Those of Trax that a model can take.
TRAX_TYPES = tuple(_ADAPTERS)


def _adapters(attention_type):
  """Returns the functions that call a type, and call it in mode `'predict'`."""
  original = unwrapped(attention_type)
  # gin derives a class from each class that it binds.
  ancestors = getattr(original, '__mro__', (original,))
  for known, adapters in _ADAPTERS.items():
    if known in ancestors:
      return adapters
  module = getattr(original, '__module__', None) or ''
  if module.split('.')[0] == 'trax':
    raise UserError(
      f"attention type: got Trax's {_name(original)}, which is no causal "
      f'attention of a sequence to itself; use one of {_names(_ADAPTERS)}'
    )
  return _ours, _ours


def _names(attention_types):
  return ', '.join(sorted(known.__name__ for known in attention_types))


def _name(x):
  return getattr(x, '__name__', None) or ' '.join(repr(x).split())
