"""Upsampling by repetition or a linear map (arXiv:2110.13711, Section 2.3)."""

from jax import numpy as jnp
from trax import layers as tl

from trax_hourglass.layers.basic import Dense, Dropout
from trax_hourglass.layers.checks import check_dropout
from trax_hourglass.layers.resampling.groups import check_call


def LinearUpsampling(
  shorten_factor, d_model, dropout=0.0, mode='train', **unused
):
  """Returns a layer from `(batch, length, d)` to `(batch, k*length, d_model)`.

  A linear map of its own for each of the k positions in a group.

  Args:
    shorten_factor: k.
    d_model: Width of the output.
    dropout: Share of activations dropped in training, in [0, 1).
    mode: `'train'`, `'eval'` or `'predict'`.
    **unused: The rest of a model's call.

  Raises:
    UserError: If an argument is out of its range.
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

  Args:
    shorten_factor: k.
    d_model: Not used.
    mode: `'train'`, `'eval'` or `'predict'`, which are alike.
    **unused: The rest of a model's call.

  Raises:
    UserError: If k is not a whole number of at least 1, or the mode is unknown.
  """
  del d_model
  check_call(shorten_factor, mode, unused)
  return tl.Fn('Repeat', lambda x: jnp.repeat(x, shorten_factor, axis=1))


def NoUpsampling(shorten_factor, d_model=None, mode='train', **unused):
  """Returns a layer from `(batch, length, d)` to zeros, `(batch, k*length, d)`.

  Inside attention upsampling this is U(x, x') = x: the queries are the
  activations from before the shortening alone. Arguments and errors are those
  of `NaiveUpsampling`.
  """
  del d_model
  check_call(shorten_factor, mode, unused)

  def zeros(x):
    batch, length, d = x.shape
    return jnp.zeros((batch, shorten_factor * length, d), x.dtype)

  return tl.Fn('Zeros', zeros)
