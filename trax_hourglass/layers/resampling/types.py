"""How a model calls a resampler: ours, Trax's or any other."""

from trax import layers as tl
from trax.layers.research import resampling as trax_resampling

from trax_hourglass.errors import UserError
from trax_hourglass.layers.checks import check_functions, unwrapped
from trax_hourglass.layers.resampling.attention import AttentionResampling
from trax_hourglass.layers.resampling.pooling import (
  AveragePooling,
  LinearPooling,
)
from trax_hourglass.layers.resampling.upsampling import (
  LinearUpsampling,
  NaiveUpsampling,
  NoUpsampling,
)

_TRAX_ATTENTION_RESAMPLING = unwrapped(trax_resampling.AttentionResampling)


def resampling_layer(
  resampler, shorten_factor, d_model, mode, max_inference_length, **call
):
  """Returns the layer of a resampler.

  Args:
    resampler: A function as described in `layers.resampling`.
    shorten_factor: k.
    d_model: Width of the activations.
    mode: `'train'`, `'eval'` or `'predict'`.
    max_inference_length: Passed on in mode `'predict'` alone.
    **call: The rest of the call, as for `AttentionResampling`.

  Raises:
    UserError: If mode `'predict'` cannot run it, or an argument is out of its
      range.
  """
  if mode == 'predict':
    if unwrapped(resampler) is _TRAX_ATTENTION_RESAMPLING:
      raise UserError(
        "mode 'predict': got Trax's AttentionResampling, which keeps no cache, "
        'expected trax_hourglass.AttentionResampling, which has the same '
        'weights'
      )
    call['max_inference_length'] = max_inference_length
  layer = resampler(shorten_factor, d_model, mode=mode, **call)
  if isinstance(layer, list | tuple):  # As Trax's AttentionResampling.
    layer = tl.Serial(layer, name='Resampling')
  return layer


def check_resamplers(
  downsampling_fn,
  upsampling_fn,
  attention_downsampling_fn,
  attention_upsampling_fn,
):
  """Raises `UserError` unless each can do what the argument's name says."""
  shortening = {
    'downsampling_fn': downsampling_fn,
    'attention_downsampling_fn': attention_downsampling_fn,
  }
  upsampling = {
    'upsampling_fn': upsampling_fn,
    'attention_upsampling_fn': attention_upsampling_fn,
  }
  check_functions(**shortening, **upsampling)
  _check_directions(shortening, upsampling)
  _check_make_queries(
    attention_downsampling_fn=attention_downsampling_fn,
    attention_upsampling_fn=attention_upsampling_fn,
  )


def _check_directions(shortening, upsampling):
  poolings = AveragePooling, LinearPooling
  upsamplings = LinearUpsampling, NaiveUpsampling, NoUpsampling
  for given, what, right, wrong in (
    (shortening, 'shortens', poolings, upsamplings),
    (upsampling, 'upsamples', upsamplings, poolings),
  ):
    for name, function in given.items():
      if unwrapped(function) in wrong:
        names = ', '.join(one.__name__ for one in right)
        raise UserError(
          f'{name}: got {unwrapped(function).__name__}, expected what {what}, '
          f'such as {names}'
        )


def _check_make_queries(**resamplers):
  kinds = AttentionResampling, _TRAX_ATTENTION_RESAMPLING
  for name, resampler in resamplers.items():
    if unwrapped(resampler) in kinds:
      raise UserError(
        f'{name}: got AttentionResampling, expected what makes its queries, '
        'such as AveragePooling to shorten, LinearUpsampling to upsample'
      )
