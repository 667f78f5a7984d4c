"""Which attention a block uses, as a value.

An attention type is a function with the signature of `RelativeAttention`:

  attention_type(d_model, n_heads=..., dropout=..., mode=...,
                 context_bias_layer=..., location_bias_layer=...,
                 total_pooling=...)

It returns a causal layer from `(batch, length, d_model)` to the same shape, and
may have options of its own, as keywords with defaults. `dropout` is that of the
attention weights: a block drops the outputs itself.

In mode `'predict'` it is called with `max_inference_length` too, the number of
tokens of the whole model that there must be room for, and maps the vectors that
follow those of earlier calls.

The causal attention of `trax.layers` is called in other ways, so a table says
how. Options that gin or `functools.partial` has bound remain bound.
"""

import functools

from jax import numpy as jnp
from trax import layers as tl
from trax.layers import attention, base, convolution
from trax.layers.research import efficient_attention, rel_attention, sparsity

from trax_hourglass.errors import UserError
from trax_hourglass.kernels.alignment import Alignment
from trax_hourglass.layers.attention.cached import OneByOne
from trax_hourglass.layers.basic import Stored
from trax_hourglass.layers.checks import (
  check_dropout,
  check_heads,
  check_mode,
  unwrapped,
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

  Args:
    attention_type: A function as described above, or one of `trax.layers` that
      makes causal attention of a sequence to itself.
    d_model: As for `RelativeAttention`, like everything below.
    n_heads: Number of attention heads.
    dropout: Share of the attention weights dropped in training.
    mode: `'train'`, `'eval'` or `'predict'`.
    context_bias_layer: Layer that pushes the bias `u`.
    location_bias_layer: Layer that pushes the bias `v`.
    total_pooling: The total shorten factor of the activations.
    max_inference_length: Passed on in mode `'predict'` alone.

  Raises:
    UserError: If that is no attention type, or none that mode `'predict'` can
      run, or an argument is out of its range.
  """
  if not callable(attention_type) or isinstance(attention_type, base.Layer):
    raise UserError(
      f'attention type: got {_in_words(attention_type)}, expected the function '
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
  if mode == 'predict':
    call['max_inference_length'] = max_inference_length
  layer = _adapter(attention_type, mode)(attention_type, d_model, call)
  if not isinstance(layer, base.Layer) or (layer.n_in, layer.n_out) != (1, 1):
    raise UserError(
      f'attention type {_in_words(attention_type)}: got {_in_words(layer)}, '
      'expected that it returns a layer from one array to one array'
    )
  return layer


def _ours(attention_type, d_model, call):
  return attention_type(d_model, **call)


def _relative(attention_type, d_model, call):
  return _fitted(attention_type(d_model, **call))


def _plain(attention_type, d_model, call):
  keywords = {name: call[name] for name in ('n_heads', 'dropout', 'mode')}
  if call['mode'] == 'predict':
    keywords['max_inference_length'] = _cache_length(call)
  layer = attention_type(d_model, **keywords)
  if call['mode'] == 'predict' and _has(layer, convolution.CausalDepthwiseConv):
    raise UserError(
      f'attention type {_in_words(attention_type)}: got use_dconv=True, whose '
      "convolution keeps nothing for mode 'predict'; expected use_dconv=False"
    )
  return _fitted(layer)


def _efficient(attention_type, d_model, call):
  d_head = d_model // call['n_heads']
  make = functools.partial(
    attention_type,
    n_heads=call['n_heads'],
    d_qk=d_head,
    d_v=d_head,
    causal=True,
    masked=False,
    attention_dropout=call['dropout'],
    output_dropout=0.0,  # A block drops the outputs itself.
  )
  if call['mode'] != 'predict':
    return _fitted(make(mode=call['mode']))
  options = vars(make(mode='eval'))
  if options['_bias']:
    raise UserError(
      f'attention type {_in_words(attention_type)}: got bias=True, which Trax '
      "leaves out in mode 'predict'; expected bias=False"
    )
  if options['_chunk_len']:
    # Only one by one does Trax forget the chunks that are out of reach.
    return _fitted(OneByOne(make(mode='predict')))
  length = _cache_length(call)
  layer = make(mode='predict', predict_mem_len=length, predict_drop_len=length)
  return _fitted(layer)


def _cache_length(call):
  alignment = Alignment(total_pooling=call['total_pooling'])
  return alignment.cache_length(call['max_inference_length'])


def _has(layer, layer_class):
  """Returns whether the layer, or one at any depth in it, is of a class."""
  return isinstance(layer, layer_class) or any(
    _has(sublayer, layer_class) for sublayer in layer.sublayers
  )


def _without_weights(attention_type, d_model, call):
  with_weights = functools.partial(
    tl.PureLSHSelfAttentionWrapper, pure_lsh_implementation=attention_type
  )
  return _efficient(with_weights, d_model, call)


def _fitted(layer):
  """Returns a layer of Trax that fits where ours do.

  It computes in float32, returns the precision of its input, and checks
  lengths. Trax itself would compute softmax and sums in bfloat16.
  """

  def check_length(x):
    _check_chunks(layer, x.shape[1])
    return x.astype(jnp.float32)

  return tl.Serial(
    tl.Dup(),  # x, x
    tl.Fn('CheckLength', check_length),
    layer,
    tl.Fn('KeepPrecision', lambda y, x: y.astype(x.dtype)),
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


_ADAPTERS = {
  unwrapped(attention.CausalAttention): _plain,
  unwrapped(sparsity.CausalFavor): _plain,
  unwrapped(sparsity.ConvCausalAttention): _plain,
  unwrapped(sparsity.LowRankCausalAttention): _plain,
  unwrapped(sparsity.ModularCausalAttention): _plain,
  unwrapped(sparsity.MultiplicativeCausalAttention): _plain,
  unwrapped(sparsity.MultiplicativeConvCausalAttention): _plain,
  unwrapped(sparsity.MultiplicativeModularCausalAttention): _plain,
  efficient_attention.SelfAttention: _efficient,
  efficient_attention.LSHSelfAttention: _efficient,
  efficient_attention.PureLSHSelfAttentionWrapper: _efficient,
  efficient_attention.PureLSHSelfAttention: _without_weights,
  efficient_attention.MixedLSHSelfAttention: _without_weights,
  unwrapped(rel_attention.RelativeAttentionWrapper): _relative,
}


# Those of Trax that keep a cache and give in mode 'predict' what they give in
# mode 'eval': LSH attention of Trax gives something else.
_CACHED = {
  unwrapped(attention.CausalAttention),
  unwrapped(sparsity.ConvCausalAttention),
  unwrapped(sparsity.LowRankCausalAttention),
  unwrapped(sparsity.ModularCausalAttention),
  unwrapped(sparsity.MultiplicativeCausalAttention),
  unwrapped(sparsity.MultiplicativeConvCausalAttention),
  unwrapped(sparsity.MultiplicativeModularCausalAttention),
  efficient_attention.SelfAttention,
}


def _adapter(attention_type, mode):
  """Returns the function that calls the type as its class wants to be called.

  Raises:
    UserError: If it belongs to Trax, but not to the table, or keeps no cache in
      mode `'predict'`.
  """
  original = unwrapped(attention_type)
  # gin derives a class from each that it binds.
  ancestors = getattr(original, '__mro__', (original,))
  for known, adapter in _ADAPTERS.items():
    if known in ancestors:
      if mode == 'predict' and known not in _CACHED:
        raise UserError(
          f"attention type in mode 'predict': got Trax's {_in_words(known)}, "
          'which keeps no cache of what it attends to; use RelativeAttention, '
          f'RotaryAttention, LSHAttention or one of {_names(_CACHED)}'
        )
      return adapter
  module = getattr(original, '__module__', None) or ''
  if module.split('.')[0] == 'trax':
    raise UserError(
      f"attention type: got Trax's {_in_words(original)}, which is no causal "
      f'attention of a sequence to itself; use one of {_names(_ADAPTERS)}'
    )
  return _ours


def _names(attention_types):
  return ', '.join(sorted(known.__name__ for known in attention_types))


def _in_words(x):
  return getattr(x, '__name__', None) or ' '.join(repr(x).split())
