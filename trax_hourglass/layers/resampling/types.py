"""How a model calls a resampler: ours, Trax's or any other."""

from trax import layers as tl
from trax import shapes
from trax.layers.research import resampling as trax_resampling

from trax_hourglass.errors import UserError
from trax_hourglass.layers.checks import check_functions, unwrapped
from trax_hourglass.layers.resampling.attention import AttentionResampling
from trax_hourglass.layers.resampling.linear import (
  AveragePooling,
  LinearPooling,
  LinearUpsampling,
  NaiveUpsampling,
  NoUpsampling,
)

_TRAX_ATTENTION_RESAMPLING = unwrapped(trax_resampling.AttentionResampling)


def resampling_layer(
  resampler, shorten_factor, d_model, mode, max_inference_length, **call
):
  """Returns the layer of a resampler, a function as in `layers.resampling`.

  All other arguments are those of `AttentionResampling`.

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
  """Raises `UserError` unless each can do the work that its name says."""
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


def check_weights_alike(hierarchy, d_model, resamplings):
  """Raises `UserError` unless resampling has the same weights for each factor.

  Args:
    hierarchy: Words for the hierarchy in the error.
    d_model: Width of the activations.
    resamplings: (shorten factor, shortening, upsampling) for each factor.
  """

  def weight_shapes(k, shorten, upsample):
    x, short_x = (shapes.ShapeDtype((1, n, d_model)) for n in (k, 1))
    short_x = short_x if upsample.n_in == 1 else (short_x, x)
    for layer, signature in ((shorten, x), (upsample, short_x)):
      weights, _ = layer.weights_and_state_signature(signature)
      for array in tl.flatten_weights_and_state(weights, ())[0]:
        yield array.shape

  if len({tuple(weight_shapes(*resampling)) for resampling in resamplings}) > 1:
    raise UserError(
      f'{hierarchy}: got a shortening or upsampling whose weights depend on '
      'the factor, expected parameter-free pooling where training draws it: '
      'average pooling and repeat, alone or inside attention'
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
          f'{name}: got {unwrapped(function).__name__}, expected a resampler '
          f'that {what}, such as {names}'
        )


def _check_make_queries(**resamplers):
  kinds = AttentionResampling, _TRAX_ATTENTION_RESAMPLING
  for name, resampler in resamplers.items():
    if unwrapped(resampler) in kinds:
      raise UserError(
        f'{name}: got AttentionResampling, expected the resampler that makes '
        'its queries, such as AveragePooling to shorten, LinearUpsampling to '
        'upsample'
      )
