"""Shortening and upsampling (arXiv:2110.13711, Sections 2.1 and 2.3).

A model calls every resampler alike, with the keywords of
`trax.models.HourglassLM`:

  resampler(shorten_factor, d_model, is_upsampling=..., d_ff=..., n_heads=...,
            dropout=..., dropout_shared_axes=..., mode=..., ff_activation=...,
            context_bias_layer=..., location_bias_layer=...,
            total_pooling=..., resampling_fn=...)

so any function that takes these can stand in for the ones below. Each of those
names only what it uses; `@_resampler` keeps the rest from it. The one inside
`AttentionResampling` is called with less, see there.

In mode `'predict'` a model passes `max_inference_length` too, and hands on
groups as they are completed, see `cached_valley`: shortening maps some whole
groups, which follow those of earlier calls, and so does upsampling from x'
alone. One that takes (x', x) is `AttentionResampling`.
"""

import functools
import inspect

from jax import numpy as jnp
from trax import layers as tl

from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.layers.attention.relative import RelativeCrossAttention
from trax_hourglass.layers.basic import Dense, Dropout, LayerNorm
from trax_hourglass.layers.blocks import FeedForward
from trax_hourglass.layers.checks import check_dropout, check_mode, unwrapped

_CALL = (
  'shorten_factor',
  'd_model',
  'is_upsampling',
  'd_ff',
  'n_heads',
  'dropout',
  'dropout_shared_axes',
  'mode',
  'ff_activation',
  'context_bias_layer',
  'location_bias_layer',
  'total_pooling',
  'resampling_fn',
)
_PREDICT_CALL = (*_CALL, 'max_inference_length')


def _resampler(layer_fn):
  """Lets `layer_fn` be called as a model calls, with what it doesn't name too.

  A model cannot know which resampler it was given, and Trax's take the same
  call. Any keyword that is not part of it remains a TypeError.
  """
  own = inspect.signature(layer_fn).parameters

  @functools.wraps(layer_fn)
  def resampler(shorten_factor, *args, **kwargs):
    check_positive(shorten_factor=shorten_factor)
    check_mode(kwargs.get('mode', 'train'))
    if args and 'd_model' not in own:
      _, *args = args
    unused = set(kwargs) & set(_PREDICT_CALL) - set(own)
    used = {name: kwargs[name] for name in kwargs if name not in unused}
    return layer_fn(shorten_factor, *args, **used)

  return resampler


def check_directions(shortening, upsampling):
  """Raises `UserError` where a shortening was given to upsample, or vice versa.

  Args:
    shortening: By the name of an argument, what it is to shorten with.
    upsampling: The same to upsample with.
  """
  poolings = AveragePooling, LinearPooling
  upsamplings = LinearUpsampling, NaiveUpsampling, NoUpsampling
  for given, what, right, wrong in (
    (shortening, 'shortens', poolings, upsamplings),
    (upsampling, 'upsamples', upsamplings, poolings),
  ):
    for name, function in given.items():
      if unwrapped(function) in map(unwrapped, wrong):
        names = ', '.join(one.__name__ for one in right)
        raise UserError(
          f'{name}: got {unwrapped(function).__name__}, expected what {what}, '
          f'such as {names}'
        )


def _groups(x, shorten_factor):
  """Returns `(batch, length/k, k, d)`: each group of k neighbours."""
  batch, length, d = x.shape
  if length % shorten_factor:
    raise UserError(
      f'length {length} is not a multiple of shorten_factor {shorten_factor}; '
      'pad the sequence, or use Hourglass, which takes any length'
    )
  return x.reshape(batch, length // shorten_factor, shorten_factor, d)


@_resampler
def AveragePooling(shorten_factor):
  """Returns a layer that maps `(batch, length, d)` to `(batch, length/k, d)`.

  The mean of each group of k neighbours.

  Args:
    shorten_factor: k, which divides `length`.

  Raises:
    UserError: If k is not a whole number of at least 1.
  """
  return tl.Fn(
    'AveragePooling', lambda x: jnp.mean(_groups(x, shorten_factor), axis=2)
  )


@_resampler
def LinearPooling(shorten_factor, d_model, dropout=0.0, mode='train'):
  """Returns a layer from `(batch, length, d)` to `(batch, length/k, d_model)`.

  One linear map of each group of k neighbours, concatenated (Algorithm 2).

  Args:
    shorten_factor: k, which divides `length`.
    d_model: Width of the output.
    dropout: Share of activations dropped in training, in [0, 1).
    mode: `'train'`, `'eval'` or `'predict'`.

  Raises:
    UserError: If an argument is out of its range.
  """
  check_mode(mode)
  check_dropout(dropout)

  def concatenate_groups(x):
    groups = _groups(x, shorten_factor)
    return groups.reshape(*groups.shape[:2], -1)

  return tl.Serial(
    tl.Fn('ConcatenateGroups', concatenate_groups),
    Dense(d_model),
    Dropout(rate=dropout, mode=mode),
    name='LinearPooling',
  )


@_resampler
def LinearUpsampling(shorten_factor, d_model, dropout=0.0, mode='train'):
  """Returns a layer from `(batch, length, d)` to `(batch, k*length, d_model)`.

  A linear map of its own for each of the k positions in a group.

  Args:
    shorten_factor: k.
    d_model: Width of the output.
    dropout: Share of activations dropped in training, in [0, 1).
    mode: `'train'`, `'eval'` or `'predict'`.

  Raises:
    UserError: If an argument is out of its range.
  """
  check_mode(mode)
  check_dropout(dropout)

  def ungroup(x):
    batch, length, _ = x.shape
    return x.reshape(batch, shorten_factor * length, d_model)

  return tl.Serial(
    Dense(shorten_factor * d_model),
    Dropout(rate=dropout, mode=mode),
    tl.Fn('Ungroup', ungroup),
    name='LinearUpsampling',
  )


@_resampler
def NaiveUpsampling(shorten_factor):
  """Returns a layer that maps `(batch, length, d)` to `(batch, k*length, d)`.

  Each vector is repeated k times ('repeat' in the paper).

  Args:
    shorten_factor: k.

  Raises:
    UserError: If k is not a whole number of at least 1.
  """
  return tl.Fn('Repeat', lambda x: jnp.repeat(x, shorten_factor, axis=1))


@_resampler
def NoUpsampling(shorten_factor):
  """Returns a layer from `(batch, length, d)` to zeros, `(batch, k*length, d)`.

  Inside attention upsampling this is U(x, x') = x: the queries are the
  activations from before the shortening alone.

  Args:
    shorten_factor: k.

  Raises:
    UserError: If k is not a whole number of at least 1.
  """

  def zeros(x):
    batch, length, d = x.shape
    return jnp.zeros((batch, shorten_factor * length, d), x.dtype)

  return tl.Fn('Zeros', zeros)


@_resampler
def AttentionResampling(
  shorten_factor,
  d_model,
  is_upsampling,
  d_ff,
  n_heads=1,
  dropout=0.0,
  dropout_shared_axes=None,
  mode='train',
  ff_activation=tl.FastGelu,
  context_bias_layer=None,
  location_bias_layer=None,
  total_pooling=1,
  resampling_fn=None,
  max_inference_length=2048,
):
  """Returns a layer that resamples by attention, followed by a feed-forward.

  Shortening maps x, `(batch, length, d_model)`, to x', shorter k times:
  x' = S(x) + Attention(Q = S(x), K = V = x). Upsampling maps (x', x), the
  shortened activations and those from before the shortening, to (y, x):
  y = U(x, x') + Attention(Q = U(x, x'), K = V = x') with
  U(x, x') = x + u(x'). A feed-forward with its residual follows either. Norms
  are left out here: S(x) stands for LN(S(LN(x))), u(x') for LN(u(LN(x'))), and
  keys and values are LN(x) or LN(x').

  Args:
    shorten_factor: k, which divides the length of x.
    d_model: Width of the activations; even, and a multiple of `n_heads`.
    is_upsampling: Whether to upsample, rather than to shorten.
    d_ff: Width inside the feed-forward layer.
    n_heads: Number of attention heads.
    dropout: Share of activations dropped in training, in [0, 1).
    dropout_shared_axes: Axes along which one dropout mask is shared.
    mode: `'train'`, `'eval'` or `'predict'`.
    ff_activation: Function without arguments that returns the activation layer.
    context_bias_layer: As for `RelativeAttention`.
    location_bias_layer: As for `RelativeAttention`.
    total_pooling: Total shorten factor of x.
    resampling_fn: S or u, a resampler: by default `AveragePooling` for S and
      `LinearUpsampling` for u, as in `trax.models.HourglassLM`. It is called
      with `shorten_factor`, `d_model`, `dropout` and `mode` alone, and maps one
      array to one.
    max_inference_length: As for `RelativeAttention`.

  Raises:
    UserError: If an argument is out of its range.

  Source: arXiv:2110.13711, Sections 2.1 and 2.3; S and u are `resampling_fn`.
  """
  if resampling_fn is None:
    resampling_fn = LinearUpsampling if is_upsampling else AveragePooling
  memory_and_rows = [
    LayerNorm(),  # memory
    tl.Dup(),
    resampling_fn(shorten_factor, d_model, dropout=dropout, mode=mode),
    LayerNorm(),  # S(x) or u(x'), memory
  ]
  attend = [
    tl.Residual(
      RelativeCrossAttention(
        d_model,
        n_heads=n_heads,
        dropout=dropout,
        mode=mode,
        context_bias_layer=context_bias_layer,
        location_bias_layer=location_bias_layer,
        total_pooling=total_pooling,
        max_inference_length=max_inference_length,
        query_step=1 if is_upsampling else shorten_factor,
        key_step=shorten_factor if is_upsampling else 1,
      ),
      Dropout(rate=dropout, shared_axes=dropout_shared_axes, mode=mode),
    ),
    FeedForward(
      d_model, d_ff, dropout, dropout_shared_axes, mode, ff_activation
    ),
  ]
  if not is_upsampling:
    return tl.Serial(memory_and_rows, attend, name='AttentionShortening')
  # u(x'), x', x -> U(x, x'), x', x
  attend = [tl.Select([0, 2, 1, 2]), tl.Add(), *attend]
  return Upsampling(memory_and_rows, attend, name='AttentionUpsampling')


class Upsampling(tl.Serial):
  """Upsampling from (x', x), in two parts.

  Attributes:
    of_groups: Layer that maps x' to (u(x'), memory).
    of_vectors: Layer that maps (u(x'), memory, x) to (y, x).
  """

  def __init__(self, of_groups, of_vectors, name):
    super().__init__(of_groups, of_vectors, name=name)
    self._of_groups = tl.Serial(of_groups)
    self._of_vectors = tl.Serial(of_vectors)

  @property
  def of_groups(self):
    return self._of_groups

  @property
  def of_vectors(self):
    return self._of_vectors
