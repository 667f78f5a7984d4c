"""Shortening and upsampling (arXiv:2110.13711, Sections 2.1 and 2.3).

A resampler is a function that makes the layer. A model calls every one alike,
with the keywords of `trax.models.HourglassLM`, see `types.resampling_layer`:

  resampler(shorten_factor, d_model, is_upsampling=..., d_ff=..., n_heads=...,
            dropout=..., dropout_shared_axes=..., mode=..., ff_activation=...,
            context_bias_layer=..., location_bias_layer=...,
            total_pooling=..., resampling_fn=...)

so any function that takes these can stand in for ours. A shortened vector
depends on all k vectors of its group: a causal model shifts right by k - 1
before the shortening, see `models.levels.Valley`. The resampler inside
`AttentionResampling` is called with `shorten_factor`, `d_model`, `dropout` and
`mode` alone, and maps one array to one.

In mode `'predict'` a model passes `max_inference_length` too, and runs the
layers on groups as these are completed, see `models.cached`: shortening, and
upsampling from x' alone, map whole groups that follow those of earlier calls.
An upsampling that takes (x', x) must be an `AttentionUpsampling`.
"""

from trax_hourglass.layers.resampling.attention import (
  AttentionResampling,
  AttentionShortening,
  AttentionUpsampling,
)
from trax_hourglass.layers.resampling.linear import (
  AveragePooling,
  LinearPooling,
  LinearUpsampling,
  NaiveUpsampling,
  NoUpsampling,
)

__all__ = [
  'AttentionResampling',
  'AttentionShortening',
  'AttentionUpsampling',
  'AveragePooling',
  'LinearPooling',
  'LinearUpsampling',
  'NaiveUpsampling',
  'NoUpsampling',
]
