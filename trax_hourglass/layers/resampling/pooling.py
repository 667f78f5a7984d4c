"""Shortening by a mean, or by a linear map (arXiv:2110.13711, Section 2.1)."""

from jax import numpy as jnp
from trax import layers as tl

from trax_hourglass.layers.basic import Dense, Dropout
from trax_hourglass.layers.checks import check_dropout
from trax_hourglass.layers.resampling.groups import check_call, groups


def AveragePooling(shorten_factor, d_model=None, mode='train', **unused):
  """Returns a layer that maps `(batch, length, d)` to `(batch, length/k, d)`.

  The mean of each group of k neighbours.

  Args:
    shorten_factor: k, which divides `length`.
    d_model: Not used.
    mode: `'train'`, `'eval'` or `'predict'`, which are alike.
    **unused: The rest of a model's call.

  Raises:
    UserError: If k is not a whole number of at least 1, or the mode is unknown.
  """
  del d_model
  check_call(shorten_factor, mode, unused)
  return tl.Fn(
    'AveragePooling', lambda x: jnp.mean(groups(x, shorten_factor), axis=2)
  )


def LinearPooling(shorten_factor, d_model, dropout=0.0, mode='train', **unused):
  """Returns a layer from `(batch, length, d)` to `(batch, length/k, d_model)`.

  One linear map of each group of k neighbours, concatenated (Algorithm 2).

  Args:
    shorten_factor: k, which divides `length`.
    d_model: Width of the output.
    dropout: Share of activations dropped in training, in [0, 1).
    mode: `'train'`, `'eval'` or `'predict'`.
    **unused: The rest of a model's call.

  Raises:
    UserError: If an argument is out of its range.
  """
  check_call(shorten_factor, mode, unused)
  check_dropout(dropout)

  def concatenate_groups(x):
    grouped = groups(x, shorten_factor)
    return grouped.reshape(*grouped.shape[:2], -1)

  return tl.Serial(
    tl.Fn('ConcatenateGroups', concatenate_groups),
    Dense(d_model),
    Dropout(rate=dropout, mode=mode),
    name='LinearPooling',
  )
