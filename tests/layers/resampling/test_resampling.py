"""Tests of shortening and upsampling against literal arrays."""

import inspect

import numpy as np
import pytest
from trax import layers as tl
from trax.layers.research import resampling as trax_resampling

from tests import trax_tools
import trax_hourglass as th
from trax_hourglass.errors import UserError

# (1, 6, 2): three groups of two, two groups of three.
X = np.array(
  [[[1, 10], [3, 30], [5, 50], [7, 70], [9, 90], [11, 110]]], np.float32
)


def _apply(layer, weights=()):
  jitted = trax_tools.Jitted(
    layer, trax_tools.activations_signature(*X.shape[1:])
  )
  weights = [np.array(w, np.float32) for w in weights]
  assert jitted.shapes == [w.shape for w in weights]
  return np.asarray(jitted(weights, X))


def test_average_pooling():
  np.testing.assert_array_equal(
    _apply(th.AveragePooling(3)), [[[3, 30], [9, 90]]]
  )


def test_linear_pooling():
  # First output: first minus second vector's first entry. Second: the sum of
  # all entries of the group. Third: the bias alone.
  kernel = [[1, 1, 0], [0, 1, 0], [-1, 1, 0], [0, 1, 0]]
  np.testing.assert_array_equal(
    _apply(th.LinearPooling(2, 3, mode='eval'), [kernel, [0, 0, 7]]),
    [[[-2, 44, 7], [-2, 132, 7], [-2, 220, 7]]],
  )


def test_naive_upsampling():
  got = _apply(th.NaiveUpsampling(2))
  np.testing.assert_array_equal(got[0, :4], X[0, [0, 0, 1, 1]])
  assert got.shape == (1, 12, 2)


def test_linear_upsampling():
  # Position 0 of a group gets the vector, position 1 its entries swapped.
  kernel = [[1, 0, 0, 1], [0, 1, 1, 0]]
  got = _apply(th.LinearUpsampling(2, 2, mode='eval'), [kernel, [0, 0, 0, 5]])
  np.testing.assert_array_equal(
    got[0, :4], [[1, 10], [10, 6], [3, 30], [30, 8]]
  )


def test_no_upsampling():
  np.testing.assert_array_equal(
    _apply(th.NoUpsampling(2)), np.zeros((1, 12, 2))
  )


def test_attention_shortening_is_a_residual_on_the_pooled_input():
  """With zero weights in the output layers, S(LN(x)) is all that is left."""
  layer = th.AttentionResampling(3, 2, False, 5, mode='eval')
  jitted = trax_tools.Jitted(
    layer, trax_tools.activations_signature(*X.shape[1:])
  )
  weights = [np.zeros(shape, np.float32) for shape in jitted.shapes]
  # LayerNorm of the input, of the pooled input.
  weights[0:4] = [np.ones(2), np.zeros(2), np.ones(2), np.array([4, 8])]
  got = jitted([np.float32(w) for w in weights], X)
  np.testing.assert_allclose(got, [[[3, 9], [3, 9]]], atol=1e-3)


def test_attention_upsampling_adds_the_skip_to_the_queries():
  """With all weights zero, U(x, x') = x + 0 is all that is left."""
  layer = th.AttentionResampling(
    3, 2, True, 5, resampling_fn=th.NaiveUpsampling, mode='eval'
  )
  jitted = trax_tools.Jitted(
    layer,
    trax_tools.activations_signature(2, 2),
    trax_tools.activations_signature(6, 2),
  )
  weights = [np.zeros(shape, np.float32) for shape in jitted.shapes]
  y, x = jitted(weights, X[:, :2], X)
  np.testing.assert_array_equal(y, X)
  np.testing.assert_array_equal(x, X)


RESAMPLERS = [
  th.AveragePooling,
  th.LinearPooling,
  th.LinearUpsampling,
  th.NaiveUpsampling,
  th.NoUpsampling,
  th.AttentionResampling,
]


CALL = {
  'is_upsampling': False,
  'd_ff': 4,
  'n_heads': 1,
  'dropout': 0.0,
  'dropout_shared_axes': None,
  'mode': 'eval',
  'ff_activation': tl.Relu,
  'context_bias_layer': None,
  'location_bias_layer': None,
  'total_pooling': 1,
  'resampling_fn': None,
}


@pytest.mark.parametrize('resampler', RESAMPLERS)
def test_takes_the_whole_call_of_a_model(resampler):
  assert isinstance(resampler(2, 2, **CALL), tl.Serial | tl.base.PureLayer)
  with pytest.raises(TypeError, match='n_head'):
    resampler(2, 2, **CALL, n_head=1)


@pytest.mark.parametrize('mode', ['train', 'eval', 'predict'])
def test_the_call_of_a_model_is_that_of_trax(mode):
  """In mode 'predict' the call also has `max_inference_length`."""
  found = []

  def resampler(shorten_factor, d_model, **call):
    found.append(call)
    return th.AveragePooling(shorten_factor, d_model, **call)

  th.Hourglass(
    d_model=2,
    d_ff=4,
    n_heads=1,
    hierarchy='0@1 0@2 0@1',
    mode=mode,
    downsampling_fn=resampler,
  )
  (call,) = found
  signature = inspect.signature(trax_resampling.AttentionResampling)
  expected = {*signature.parameters} - {'shorten_factor', 'd_model'}
  if mode == 'predict':
    expected.add('max_inference_length')
  assert {*call} == expected


@pytest.mark.parametrize(
  'resampler', [th.AveragePooling, th.LinearPooling, th.AttentionResampling]
)
def test_a_length_that_does_not_divide_is_named(resampler):
  layer = resampler(4, 2, is_upsampling=False, d_ff=3, mode='eval')
  with pytest.raises(tl.base.LayerError, match='length 6 is not a multiple of'):
    layer.init(trax_tools.activations_signature(*X.shape[1:]))
    layer(X)


@pytest.mark.parametrize('resampler', RESAMPLERS)
def test_a_wrong_mode_is_named(resampler):
  with pytest.raises(UserError, match="mode: got 'test'"):
    resampler(2, 2, is_upsampling=False, d_ff=3, mode='test')


@pytest.mark.parametrize('resampler', RESAMPLERS)
@pytest.mark.parametrize('shorten_factor', [0, -1, 1.5, '3'])
def test_a_wrong_shorten_factor_is_named(resampler, shorten_factor):
  with pytest.raises(UserError, match='shorten_factor: got'):
    resampler(shorten_factor, 2, is_upsampling=False, d_ff=3)
