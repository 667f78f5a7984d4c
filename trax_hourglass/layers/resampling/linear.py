"""Resampling by a linear map of each vector or group of k neighbours.

Arguments and errors are common to all: `shorten_factor` is k, which must divide
the length of an array to shorten, and `d_model` the width of the output.
`dropout`, in [0, 1), is the share of outputs dropped in training. Further
keywords of a model's call are accepted and not used.

Source: arXiv:2110.13711, Sections 2.1 and 2.3, Algorithm 2.
"""

from jax import numpy as jnp
from trax import layers as tl

from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.layers.basic import Dense, Dropout
from trax_hourglass.layers.checks import check_dropout, check_mode

# The keywords of a model's call: those of Trax's `AttentionResampling`, and one
# of mode 'predict'.
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
  'max_inference_length',
)


def check_call(shorten_factor, mode, unused=()):
  """Checks the arguments of a resampler.

  Raises:
    UserError: If k is not a whole number of at least 1, or the mode is unknown.
    TypeError: If one of the names `unused` is not part of a model's call.
  """
  check_positive(shorten_factor=shorten_factor)
  check_mode(mode)
  for name in unused:
    if name not in _CALL:
      raise TypeError(f'a resampler has no argument {name}')


def _groups(x, shorten_factor):
  """Returns each group of k neighbours, `(batch, length/k, k, d)`."""
  batch, length, d = x.shape
  if length % shorten_factor:
    raise UserError(
      f'length {length} is not a multiple of shorten_factor {shorten_factor}; '
      'pad the sequence, or use Hourglass, which takes any length'
    )
  return x.reshape(batch, length // shorten_factor, shorten_factor, d)


def AveragePooling(shorten_factor, d_model=None, mode='train', **unused):
  """Returns a layer that maps `(batch, length, d)` to `(batch, length/k, d)`.

  The mean of each group of k neighbours.
  """
  del d_model
  check_call(shorten_factor, mode, unused)
  return tl.Fn(
    'AveragePooling', lambda x: jnp.mean(_groups(x, shorten_factor), axis=2)
  )


def LinearPooling(shorten_factor, d_model, dropout=0.0, mode='train', **unused):
  """Returns a layer from `(batch, length, d)` to `(batch, length/k, d_model)`.

  One linear map of each group of k neighbours, concatenated.
  """
  check_call(shorten_factor, mode, unused)
  check_dropout(dropout)

  def concatenate_groups(x):
    groups = _groups(x, shorten_factor)
    return groups.reshape(*groups.shape[:2], shorten_factor * x.shape[-1])

  return tl.Serial(
    tl.Fn('ConcatenateGroups', concatenate_groups),
    Dense(d_model),
    Dropout(rate=dropout, mode=mode),
    name='LinearPooling',
  )


def LinearUpsampling(
  shorten_factor, d_model, dropout=0.0, mode='train', **unused
):
  """Returns a layer from `(batch, length, d)` to `(batch, k*length, d_model)`.

  A linear map of its own for each of the k positions in a group.
  """
  check_call(shorten_factor, mode, unused)
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


def NaiveUpsampling(shorten_factor, d_model=None, mode='train', **unused):
  """Returns a layer that maps `(batch, length, d)` to `(batch, k*length, d)`.

  Each vector is repeated k times ('repeat' in the paper).
  """
  del d_model
  check_call(shorten_factor, mode, unused)
  return tl.Fn('Repeat', lambda x: jnp.repeat(x, shorten_factor, axis=1))


def NoUpsampling(shorten_factor, d_model=None, mode='train', **unused):
  """Returns a layer from `(batch, length, d)` to zeros, `(batch, k*length, d)`.

  Inside attention upsampling this is U(x, x') = x: the queries are the
  activations from before the shortening alone.
  """
  del d_model
  check_call(shorten_factor, mode, unused)

  def zeros(x):
    batch, length, d = x.shape
    return jnp.zeros_like(x, shape=(batch, shorten_factor * length, d))

  return tl.Fn('Zeros', zeros)
