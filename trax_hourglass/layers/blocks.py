"""The pre-norm Transformer block (arXiv:2110.13711, App. B.1)."""

from trax import layers as tl

from trax_hourglass.layers.basic import Dense, Dropout, LayerNorm, Stored
from trax_hourglass.layers.checks import check_dropout, check_mode


def DecoderBlock(
  attention,
  d_model,
  d_ff,
  dropout=0.0,
  dropout_shared_axes=None,
  mode='train',
  ff_activation=tl.FastGelu,
):
  """Returns a layer that maps `(batch, length, d_model)` to the same shape.

  x + attention(LN(x)), then x + feed-forward(LN(x)).

  Args:
    attention: Layer from `(batch, length, d_model)` to the same shape.
    d_model: Width of the activations.
    d_ff: Width inside the feed-forward layer.
    dropout: Share of activations dropped in training, in [0, 1).
    dropout_shared_axes: Axes along which one dropout mask is shared.
    mode: `'train'`, `'eval'` or `'predict'`.
    ff_activation: Function without arguments that returns the activation layer.

  Raises:
    UserError: If an argument is out of its range.

  Source: arXiv:2110.13711, App. B.1 (pre-norm, FastGelu).
  """
  return tl.Serial(
    tl.Residual(
      LayerNorm(),
      attention,
      Dropout(rate=dropout, shared_axes=dropout_shared_axes, mode=mode),
    ),
    Stored(),
    FeedForward(
      d_model, d_ff, dropout, dropout_shared_axes, mode, ff_activation
    ),
    name='DecoderBlock',
  )


def FeedForward(
  d_model,
  d_ff,
  dropout=0.0,
  dropout_shared_axes=None,
  mode='train',
  ff_activation=tl.FastGelu,
):
  """Returns a layer that maps `(batch, length, d_model)` to the same shape.

  x + Dense(activation(Dense(LN(x)))): the second half of `DecoderBlock`, whose
  arguments and errors these are.
  """
  check_mode(mode)
  check_dropout(dropout)

  def dropped():
    return Dropout(rate=dropout, shared_axes=dropout_shared_axes, mode=mode)

  return tl.Residual(
    LayerNorm(),
    Dense(d_ff),
    Stored(),
    ff_activation(),
    dropped(),
    Dense(d_model),
    dropped(),
  )
