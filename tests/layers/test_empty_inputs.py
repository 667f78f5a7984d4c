"""No sequences, or empty ones, have outputs and gradients that are as empty."""

import jax
import numpy as np
import pytest

from tests import trax_tools
from trax_hourglass import layers
from trax_hourglass.errors import UserError
from trax_hourglass.kernels import alignment
from trax_hourglass.models import Hourglass

LAYERS = {
  'relative': lambda mode: layers.RelativeAttention(4, 2, mode=mode),
  'rotary': lambda mode: layers.RotaryAttention(4, 2, mode=mode),
  'local': lambda mode: layers.LocalAttention(4, 2, mode=mode),
  'lsh': lambda mode: layers.LSHAttention(4, 2, mode=mode),
  'pooling': lambda mode: layers.LinearPooling(1, 4, mode=mode),
  'shortening': lambda mode: layers.AttentionResampling(
    1, 4, is_upsampling=False, d_ff=4, mode=mode
  ),
  'hourglass': lambda mode: Hourglass(
    4, 4, hierarchy='2@1 0@2 0@1', n_heads=2, mode=mode, rematerialize=True
  ),
}


@pytest.mark.parametrize('shape', [(0, 6, 4), (2, 0, 4)])
@pytest.mark.parametrize('mode', ['train', 'predict'])
@pytest.mark.parametrize('name', LAYERS)
def test_outputs_are_as_empty(name, mode, shape):
  layer = LAYERS[name](mode)
  batch, length, _ = shape
  weights, state = layer.weights_and_state_signature(
    trax_tools.activations_signature(max(length, 1), 4, batch)
  )

  def run(x, weights, state):
    def apply(x):
      return layer.pure_fn(x, weights, state, layer.rng)[0]

    if mode == 'predict':
      return apply(x), x
    y, pull_back = jax.vjp(apply, x)
    return y, *pull_back(y)

  y, dx = jax.eval_shape(run, np.zeros(shape, np.float32), weights, state)
  assert y.shape == dx.shape == shape


@pytest.mark.parametrize('lengths', [(0, 3), (3, 0)])
def test_a_query_needs_a_key(lengths):
  with pytest.raises(UserError, match='expected one number to be a multiple'):
    alignment.align(*lengths)
