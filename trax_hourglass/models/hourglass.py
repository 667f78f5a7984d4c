"""The Hourglass (arXiv:2110.13711, Figure 2 and Algorithm 1)."""

from trax import layers as tl

from trax_hourglass import hierarchy as hierarchy_lib
from trax_hourglass.errors import check_positive
from trax_hourglass.layers.attention.relative import (
  RelativeAttention,
  RelativeBiases,
)
from trax_hourglass.layers.basic import RestoredSerial
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
from trax_hourglass.models.levels import Levels, parts_of


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

  Output i depends on inputs up to i. Any length is padded at the end to a
  multiple of the innermost total shorten factor, and cropped: no output before
  the padding sees it. Activations keep the dtype of the input; integers become
  float32.

  Mode `'predict'` maps the vectors that follow those of earlier calls, cached
  as state at each level. A shortened level runs when a group is complete.

  A LayerNorm follows every stack of blocks and the upsampling, as in the
  published models; the paper does not mention it.

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
    ff_activation: Function that returns the feed-forward layers' activation.
    vanilla_attn_type: Attention of the blocks at `@1`: `RelativeAttention`, a
      function with its signature, or causal attention of Trax; see
      `trax_hourglass.layers.attention.types`.
    middle_attn_type: Attention of the shortened blocks, likewise.
    downsampling_fn: The shortening, a resampler: see
      `trax_hourglass.layers.resampling`.
    upsampling_fn: The upsampling, a resampler.
    attention_downsampling_fn: S, where `downsampling_fn` is
      `AttentionResampling`: the resampler that makes its queries.
    attention_upsampling_fn: Likewise u in U(x, x') = x + u(x').
    rematerialize: Whether the backward pass recomputes the inside of each block
      and resampler instead of keeping it in memory.
    max_inference_length: Number of vectors that mode `'predict'` has room for;
      every output of a call that goes beyond is NaN.

  Raises:
    UserError: If an argument is out of its range.

  Source: arXiv:2110.13711, Algorithm 1.
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
  context_bias_layer, location_bias_layer = RelativeBiases(d_model, n_heads)
  parts = parts_of(
    mode, d_model, outermost.multiple, rematerialize, max_inference_length
  )
  levels = Levels(
    vanilla_attn_type=vanilla_attn_type,
    middle_attn_type=middle_attn_type,
    shortening=(downsampling_fn, attention_downsampling_fn),
    upsampling=(upsampling_fn, attention_upsampling_fn),
    general={'d_model': d_model, 'dropout': dropout, 'mode': mode},
    attention={
      'n_heads': n_heads,
      'context_bias_layer': context_bias_layer,
      'location_bias_layer': location_bias_layer,
      'max_inference_length': max_inference_length,
    },
    feed_forward={
      'd_ff': d_ff,
      'dropout_shared_axes': dropout_shared_axes,
      'ff_activation': ff_activation,
    },
    parts=parts,
  )
  return RestoredSerial(
    tl.Dup(),  # x, x
    parts.first,
    levels.stack(outermost),
    parts.last,
    name='Hourglass',
  )
