"""What the resamplers without attention have in common."""

from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.layers.checks import check_mode

# The keywords of a model's call: those of `AttentionResampling` of Trax, and
# one of mode 'predict'.
CALL = (
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


def check_call(shorten_factor, mode, unused):
  """Checks the arguments of a resampler.

  Args:
    shorten_factor: k.
    mode: `'train'`, `'eval'` or `'predict'`.
    unused: Keywords that the resampler has no use for.

  Raises:
    UserError: If k is not a whole number of at least 1, or the mode is unknown.
    TypeError: If one of `unused` is not part of a model's call.
  """
  check_positive(shorten_factor=shorten_factor)
  check_mode(mode)
  for name in unused:
    if name not in CALL:
      raise TypeError(f'a resampler has no argument {name}')


def groups(x, shorten_factor):
  """Returns `(batch, length/k, k, d)`: each group of k neighbours."""
  batch, length, d = x.shape
  if length % shorten_factor:
    raise UserError(
      f'length {length} is not a multiple of shorten_factor {shorten_factor}; '
      'pad the sequence, or use Hourglass, which takes any length'
    )
  return x.reshape(batch, length // shorten_factor, shorten_factor, d)
