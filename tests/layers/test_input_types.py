"""Layers take what NumPy gives as Trax's do, and compute in float32."""

import warnings

import jax
import numpy as np
import pytest
from trax import layers as tl
from trax import shapes

from trax_hourglass import layers
from trax_hourglass.layers.attention.cached import Projections
from trax_hourglass.layers.basic import LayerNorm
from trax_hourglass.models import Hourglass

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


def test_the_kernel_of_distances_is_not_rounded_to_integers():
  """It is passed on to the cache, in mode 'predict'."""
  layer = Projections(4)
  layer.init((shapes.signature(X),) * 3)
  kernel, bias, *_ = layer((X, X, X))
  np.testing.assert_array_equal(kernel, layer.weights[0][0])
  np.testing.assert_array_equal(bias, layer.weights[0][1])


@pytest.mark.parametrize('mode', ['train', 'predict'])
def test_an_hourglass_takes_integers(mode):
  layer = Hourglass(4, 6, hierarchy='2@1', n_heads=2, mode=mode)
  signature = layer.weights_and_state_signature(shapes.signature(X))
  y, _ = jax.eval_shape(layer.pure_fn, X, *signature, jax.random.PRNGKey(0))
  assert (y.shape, y.dtype) == (X.shape, np.float32)
