"""Each attention layer takes the implementation that it is given."""

import functools
from pathlib import Path
import re

import gin
import jax
import numpy as np
import pytest
from trax import shapes
from trax.layers.base import LayerError

from trax_hourglass import layers
from trax_hourglass.errors import UserError
from trax_hourglass.kernels import fused
from trax_hourglass.models import HourglassLM

ROOT = Path(__file__).parents[3]


def _model(mode='train', **options):
  resampling = functools.partial(layers.AttentionResampling, **options)
  return HourglassLM(
    7,
    d_model=8,
    d_ff=8,
    n_heads=2,
    hierarchy='1@1 1@2 1@1',
    dropout=0.0,
    mode=mode,
    vanilla_attn_type=functools.partial(layers.RelativeAttention, **options),
    middle_attn_type=functools.partial(layers.RotaryAttention, **options),
    downsampling_fn=resampling,
    upsampling_fn=resampling,
  )


def test_all_layers_of_a_model_take_it(monkeypatch):
  by = []
  monkeypatch.setattr(
    fused,
    '_outputs',
    lambda *args, original=fused._outputs: by.append(args) or original(*args),
  )
  tokens = np.arange(11)[None] % 7
  weights, outputs = None, []
  for options in ({}, {'implementation': 'xla'}):
    model = _model(**options)
    initial, state = model.init(shapes.signature(tokens))
    weights = weights or initial
    forward = jax.jit(functools.partial(model.pure_fn, rng=model.rng))
    outputs.append(forward(tokens, weights, state)[0])
  np.testing.assert_allclose(*outputs, atol=1e-5)
  # Blocks before and after, in the middle, and two resamplers.
  assert len(by) >= 5


def test_the_bindings_of_the_guide_reach_all_layers(monkeypatch):
  asked = []
  monkeypatch.setattr(
    fused,
    'attention',
    lambda q, *_, implementation, **__: asked.append(implementation) or q,
  )
  text = (ROOT / 'docs' / 'guides' / 'memory.md').read_text()
  [bindings] = re.findall(r'```gin\n(trax_hourglass.*?)```', text, re.DOTALL)
  gin.clear_config()
  gin.parse_config(bindings)
  model = gin.get_configurable('trax_hourglass.HourglassLM')(
    7, d_model=8, d_ff=8, n_heads=2, hierarchy='1@1 1@2 0@1'
  )
  gin.clear_config()
  model.init(shapes.ShapeDtype((1, 4), np.int32))
  assert set(asked) == {'auto'}
  assert len(asked) >= 4  # Two blocks, two resamplers.


def test_what_is_unknown_or_cannot_run_is_refused():
  with pytest.raises(UserError, match="implementation: got 'flash', expected"):
    layers.RotaryAttention(8, implementation='flash')
  with pytest.raises(UserError, match="implementation: got 'flash', expected"):
    layers.AttentionResampling(2, 8, True, 8, implementation='flash')
  model = _model(implementation='cudnn')
  with pytest.raises(LayerError, match="'cudnn': got float32 activations"):
    model.init(shapes.ShapeDtype((1, 4), np.int32))
