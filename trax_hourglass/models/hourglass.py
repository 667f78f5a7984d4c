"""The Hourglass (arXiv:2110.13711, Figure 2 and Algorithm 1)."""

from jax import numpy as jnp
from trax import layers as tl
from trax import shapes
from trax.layers.research import resampling as trax_resampling

from trax_hourglass import hierarchy as hierarchy_lib
from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.layers.attention.cached import Limit
from trax_hourglass.layers.attention.relative import (
  RelativeAttention,
  RelativeBiases,
)
from trax_hourglass.layers.attention.types import attention_layer
from trax_hourglass.layers.basic import LayerNorm
from trax_hourglass.layers.blocks import DecoderBlock
from trax_hourglass.layers.cached_valley import CachedValley
from trax_hourglass.layers.checks import (
  check_dropout,
  check_functions,
  check_mode,
  unwrapped,
)
from trax_hourglass.layers.rematerialization import Rematerialized
from trax_hourglass.layers.repeated import Repeated
from trax_hourglass.layers.resampling import (
  AttentionResampling,
  AveragePooling,
  LinearUpsampling,
  check_directions,
)
from trax_hourglass.layers.shorten_factor_dropout import ShortenFactorDropout


def Hourglass(
  d_model=512,
  d_ff=2048,
  vanilla_layers=None,
  hierarchy='6@3',
  n_heads=8,
  dropout=0.1,
  dropout_shared_axes=None,
  mode='train',
  ff_activation=tl.FastGelu,
  vanilla_attn_type=RelativeAttention,
  middle_attn_type=RelativeAttention,
  downsampling_fn=AttentionResampling,
  upsampling_fn=AttentionResampling,
  attention_downsampling_fn=AveragePooling,
  attention_upsampling_fn=LinearUpsampling,
  rematerialize=False,
  max_inference_length=2048,
):
  """Returns a causal layer that maps `(batch, length, d_model)` to that shape.

  Output i depends on inputs up to i. Any length will do: the sequence is padded
  at its end to a multiple of the innermost total shorten factor, which no
  output before the padding can see, and cropped again. Activations keep the
  dtype of the input.

  Mode `'predict'` maps the vectors that follow those of earlier calls, which
  are cached as state: at each level by as many entries as it has vectors. The
  shortened levels run when a group is complete.

  Args:
    d_model: Width of the activations; even, and a multiple of `n_heads`.
    d_ff: Width inside the feed-forward layers.
    vanilla_layers: (pre, post) blocks at `@1`, for a `hierarchy` that doesn't
      say; `None` is (1, 1) there.
    hierarchy: `'2@1 8@3 2@1'`, or the shortened levels alone: see
      `trax_hourglass.hierarchy.parse`.
    n_heads: Number of attention heads.
    dropout: Share of activations dropped in training, in [0, 1).
    dropout_shared_axes: Axes along which one dropout mask is shared.
    mode: `'train'`, `'eval'` or `'predict'`.
    ff_activation: Function without arguments that returns the activation layer
      of the feed-forward layers.
    vanilla_attn_type: Attention of the blocks at `@1`: `RelativeAttention`, a
      function with its signature, or causal attention of Trax; see
      `trax_hourglass.layers.attention.types`.
    middle_attn_type: Attention of the shortened blocks, likewise.
    downsampling_fn: The shortening, a resampler: see
      `trax_hourglass.layers.resampling`.
    upsampling_fn: The upsampling, a resampler.
    attention_downsampling_fn: S, where `downsampling_fn` is
      `AttentionResampling`: the resampler that makes its queries.
    attention_upsampling_fn: u in U(x, x') = x + u(x'), where `upsampling_fn`
      is `AttentionResampling`.
    rematerialize: Whether the backward pass computes each block and resampler
      again, rather than keep what is inside it in memory.
    max_inference_length: How many vectors mode `'predict'` has room for; every
      output of a call that goes beyond is NaN.

  Raises:
    UserError: If an argument is out of its range.

  Source: arXiv:2110.13711, Algorithm 1; a LayerNorm follows every stack of
    blocks and the upsampling, as in the published models.
  """
  check_mode(mode)
  check_dropout(dropout)
  check_positive(d_ff=d_ff, max_inference_length=max_inference_length)
  shortening = {
    'downsampling_fn': downsampling_fn,
    'attention_downsampling_fn': attention_downsampling_fn,
  }
  upsampling = {
    'upsampling_fn': upsampling_fn,
    'attention_upsampling_fn': attention_upsampling_fn,
  }
  check_functions(ff_activation=ff_activation, **shortening, **upsampling)
  check_directions(shortening, upsampling)
  _check_make_queries(
    attention_downsampling_fn=attention_downsampling_fn,
    attention_upsampling_fn=attention_upsampling_fn,
  )
  is_cached = mode == 'predict'
  rematerialize = rematerialize and not is_cached
  # Only caches have a length.
  limit = {'max_inference_length': max_inference_length} if is_cached else {}
  outermost = hierarchy_lib.parse(hierarchy, vanilla_layers)
  context_bias_layer, location_bias_layer = RelativeBiases(d_model, n_heads)

  def blocks(n_layers, level):
    factor = level.total_shorten_factor
    attention_type = vanilla_attn_type if factor == 1 else middle_attn_type
    decoder_blocks = [
      DecoderBlock(
        attention_layer(
          attention_type,
          d_model,
          n_heads=n_heads,
          dropout=dropout,
          mode=mode,
          context_bias_layer=context_bias_layer,
          location_bias_layer=location_bias_layer,
          total_pooling=factor,
          **limit,
        ),
        d_model,
        d_ff,
        dropout,
        dropout_shared_axes,
        mode,
        ff_activation,
      )
      for _ in range(n_layers)
    ]
    if n_layers > 1 and is_cached:
      decoder_blocks = tl.Serial(decoder_blocks, name='Repeated')
    elif n_layers > 1:
      decoder_blocks = Repeated(decoder_blocks, rematerialize)
    elif rematerialize:
      decoder_blocks = [Rematerialized(block) for block in decoder_blocks]
    return tl.Serial(
      decoder_blocks, LayerNorm(), name=f'Blocks_{n_layers}@{factor}'
    )

  def resample(resampler, shorten_factor, level, is_upsampling, resampling_fn):
    if is_cached:
      _check_keeps_cache(resampler)
    layer = resampler(
      shorten_factor,
      d_model,
      is_upsampling=is_upsampling,
      d_ff=d_ff,
      n_heads=n_heads,
      dropout=dropout,
      dropout_shared_axes=dropout_shared_axes,
      mode=mode,
      ff_activation=ff_activation,
      context_bias_layer=context_bias_layer,
      location_bias_layer=location_bias_layer,
      total_pooling=level.total_shorten_factor,
      resampling_fn=resampling_fn,
      **limit,
    )
    if isinstance(layer, list | tuple):  # As Trax's AttentionResampling.
      layer = tl.Serial(layer, name='Resampling')
    return Rematerialized(layer) if rematerialize else layer

  def shorten(k, level):
    return resample(downsampling_fn, k, level, False, attention_downsampling_fn)

  def upsample(k, level):
    return resample(upsampling_fn, k, level, True, attention_upsampling_fn)

  def valley(level, inner):
    """ShiftRight(k - 1), Shortening, the shorter level, Upsampling.

    Algorithm 1 between its vanilla layers, but for the sum with x.
    """
    k = inner.total_shorten_factor // level.total_shorten_factor
    if is_cached:
      return CachedValley(
        k, shorten(k, level), stack(inner), upsample(k, level), LayerNorm()
      )
    return tl.Serial(
      tl.ShiftRight(k - 1, mode=mode),
      shorten(k, level),
      stack(inner),  # x', x
      upsample(k, level),
      LayerNorm(),
      name='Valley',
    )

  def stack(level):
    """One call of HOURGLASS in Algorithm 1; innermost, the ShortenedLayers."""
    if not level.inners:
      return blocks(level.n_pre, level)
    if len(level.inners) == 1:
      inside = valley(level, level.inners[0])
    else:
      _check_weights_shared(level, shorten, upsample, d_model)
      inside = ShortenFactorDropout(
        [valley(level, inner) for inner in level.inners], mode
      )
    return [
      blocks(level.n_pre, level),  # x
      tl.Dup(),  # x, x
      inside,
      tl.Add(),  # x
      blocks(level.n_post, level),
    ]

  if is_cached:
    first, last = tl.Fn('Unpadded', lambda x: x), Limit(max_inference_length)
  else:
    first = tl.Fn('PadToMultiple', lambda x: _pad(x, outermost.multiple))
    last = tl.Fn('Crop', lambda y, x: y[:, : x.shape[1]])
  return tl.Serial(
    tl.Dup(),  # x, x
    first,
    stack(outermost),
    last,
    name='Hourglass',
  )


def _pad(x, multiple):
  """Pads axis 1 with zeros at its end to a multiple."""
  if x.ndim != 3:
    raise UserError(
      f'Hourglass: got an input of shape {x.shape}, expected (batch, length, '
      'd_model); HourglassLM takes tokens'
    )
  widths = [(0, 0), (0, -x.shape[1] % multiple), (0, 0)]
  return jnp.pad(x, widths)


_TRAX_ATTENTION_RESAMPLING = unwrapped(trax_resampling.AttentionResampling)


def _check_make_queries(**resamplers):
  kinds = unwrapped(AttentionResampling), _TRAX_ATTENTION_RESAMPLING
  for name, resampler in resamplers.items():
    if unwrapped(resampler) in kinds:
      raise UserError(
        f'{name}: got AttentionResampling, expected what makes its queries, '
        'such as AveragePooling to shorten, LinearUpsampling to upsample'
      )


def _check_keeps_cache(resampler):
  if unwrapped(resampler) is _TRAX_ATTENTION_RESAMPLING:
    raise UserError(
      "mode 'predict': got Trax's AttentionResampling, which keeps no cache, "
      'expected trax_hourglass.AttentionResampling, which has the same weights'
    )


def _check_weights_shared(level, shorten, upsample, d_model):
  """Raises `UserError` unless resampling has the same weights for each factor.

  Args:
    level: A `hierarchy.Level` with several inner ones.
    shorten: Function from a shorten factor and `level` to a layer.
    upsample: The same for upsampling.
    d_model: Width of the activations.
  """
  long = level.multiple // level.total_shorten_factor

  def shapes_of(inner):
    k = inner.total_shorten_factor // level.total_shorten_factor
    x = shapes.ShapeDtype((1, long, d_model))
    short_x = shapes.ShapeDtype((1, long // k, d_model))
    upsampling = upsample(k, level)
    yield from _weight_shapes(shorten(k, level), x)
    yield from _weight_shapes(
      upsampling, short_x if upsampling.n_in == 1 else (short_x, x)
    )

  if len({tuple(shapes_of(inner)) for inner in level.inners}) > 1:
    raise UserError(
      f"hierarchy '{level}': got a shortening or upsampling whose weights "
      'depend on the factor, expected parameter-free pooling where training '
      'draws it: average pooling and repeat, alone or inside attention'
    )


def _weight_shapes(layer, input_signature):
  weights, _ = layer.weights_and_state_signature(input_signature)
  return [w.shape for w in tl.flatten_weights_and_state(weights, ())[0]]
