"""The Hourglass (arXiv:2110.13711, Figure 2 and Algorithm 1)."""

from jax import numpy as jnp
from trax import layers as tl

from trax_hourglass import hierarchy as hierarchy_lib
from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.layers.attention.relative import (
  RelativeAttention,
  RelativeBiases,
)
from trax_hourglass.layers.checks import (
  check_dropout,
  check_functions,
  check_mode,
)
from trax_hourglass.layers.resampling import (
  AttentionResampling,
  AveragePooling,
  LinearUpsampling,
)
from trax_hourglass.layers.resampling.types import check_resamplers
from trax_hourglass.models.cached import Limit
from trax_hourglass.models.levels import Levels


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
  check_functions(ff_activation=ff_activation)
  check_resamplers(
    downsampling_fn,
    upsampling_fn,
    attention_downsampling_fn,
    attention_upsampling_fn,
  )
  outermost = hierarchy_lib.parse(hierarchy, vanilla_layers)
  levels = Levels(
    *RelativeBiases(d_model, n_heads),
    d_model=d_model,
    d_ff=d_ff,
    n_heads=n_heads,
    dropout=dropout,
    dropout_shared_axes=dropout_shared_axes,
    mode=mode,
    ff_activation=ff_activation,
    vanilla_attn_type=vanilla_attn_type,
    middle_attn_type=middle_attn_type,
    downsampling_fn=downsampling_fn,
    upsampling_fn=upsampling_fn,
    attention_downsampling_fn=attention_downsampling_fn,
    attention_upsampling_fn=attention_upsampling_fn,
    # Mode 'predict' has no backward pass.
    rematerialize=rematerialize and mode != 'predict',
    max_inference_length=max_inference_length,
  )
  if mode == 'predict':
    first, last = tl.Fn('Unpadded', lambda x: x), Limit(max_inference_length)
  else:
    first = tl.Fn('PadToMultiple', lambda x: _pad(x, outermost.multiple))
    last = tl.Fn('Crop', lambda y, x: y[:, : x.shape[1]])
  return tl.Serial(
    tl.Dup(),  # x, x
    first,
    levels.stack(outermost),
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
