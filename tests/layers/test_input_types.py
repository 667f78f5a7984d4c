"""Layers take what NumPy gives as Trax's do, and compute in float32."""

import warnings

import numpy as np
import pytest
from trax import layers as tl
from trax import shapes

from trax_hourglass import layers
from trax_hourglass.layers.basic import LayerNorm

X = np.random.default_rng(0).integers(-9, 10, size=(2, 6, 4))
LAYERS = {
  'norm': LayerNorm(),
  'relative': layers.RelativeAttention(4, mode='eval'),
  'trax': layers.attention_layer(tl.CausalAttention, 4, mode='eval'),
  'linear': layers.LinearPooling(2, 4),
  'none': layers.NoUpsampling(2, 4),
}


@pytest.mark.parametrize(
  'name',
  [
    pytest.param(name, marks=pytest.mark.slow if name == 'trax' else ())
    for name in LAYERS
  ],
)
def test_integers_and_float64_are_computed_in_float32(name):
  layer = LAYERS[name]
  layer.init(shapes.signature(X.astype(np.float32)))
  expected = layer(X.astype(np.float32))
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    y = layer(X.astype(np.float64))
  np.testing.assert_array_equal(y, expected)
  assert y.dtype == expected.dtype == np.float32
  np.testing.assert_array_equal(layer(X), expected)
