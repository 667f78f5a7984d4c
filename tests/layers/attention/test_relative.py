"""Tests of the layers of relative attention."""

import numpy as np
import pytest
from trax import layers as tl

from tests import trax_tools
import trax_hourglass
from trax_hourglass import layers
from trax_hourglass.errors import UserError
from trax_hourglass.layers.attention import relative as ra


def test_distances_are_sinusoids_of_tokens():
  """In nested levels a neighbour is `total_pooling` tokens away."""
  queries, memory = (np.zeros((1, n, 4), np.float32) for n in (2, 4))
  frequencies = np.array([1, 0.01])

  def rows(*distances):
    angles = np.outer(distances, frequencies)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)

  same, shorten, upsample = (
    ra.Distances(4, total_pooling=3)(inputs)[0]
    for inputs in ((queries, queries), (queries, memory), (memory, queries))
  )
  np.testing.assert_allclose(same, rows(-3, 0), atol=1e-6)
  np.testing.assert_allclose(shorten, rows(-6, -3, 0, 3), atol=1e-6)
  # Upsampling counts vectors, whatever the level: a quirk of the checkpoints.
  np.testing.assert_allclose(upsample, rows(-3, -2, -1, 0), atol=1e-6)


def test_biases_are_shared_when_passed_and_own_otherwise():
  d_model, n_heads = 6, 3
  signature = trax_tools.activations_signature(4, d_model)
  biases = layers.RelativeBiases(d_model, n_heads)
  shared = [
    layers.RelativeAttention(d_model, n_heads, 0.0, 'eval', *biases)
    for _ in range(2)
  ]
  own = [layers.RelativeAttention(d_model, n_heads) for _ in range(2)]
  n_shared, n_own = (
    len(trax_tools.Jitted(tl.Serial(*pair), signature).shapes)
    for pair in (shared, own)
  )
  assert n_own == n_shared + 2


def test_half_a_pair_of_biases_is_refused():
  bias, _ = layers.RelativeBiases(6, 3)
  with pytest.raises(UserError, match='got only one of them'):
    layers.RelativeAttention(6, 3, context_bias_layer=bias)


def test_lengths_that_do_not_divide_are_named():
  layer = layers.RelativeCrossAttention(6, 3, mode='eval')
  with pytest.raises(tl.base.LayerError, match='got 5 queries and 7 keys'):
    trax_tools.Jitted(
      layer,
      trax_tools.activations_signature(5, 6),
      trax_tools.activations_signature(7, 6),
    )


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'d_model': 10, 'n_heads': 3}, 'd_model 10: expected an even number'),
    ({'d_model': 9, 'n_heads': 3}, 'd_model 9: expected an even number'),
    ({'d_model': 8, 'n_heads': 0}, 'n_heads: got 0'),
    ({'d_model': 8, 'dropout': 1.0}, 'dropout: got 1.0'),
    ({'d_model': 8, 'total_pooling': 0}, 'total_pooling: got 0'),
    ({'d_model': 8, 'mode': 'test'}, "mode: got 'test'"),
    ({'d_model': 8, 'mode': 'training'}, "mode: got 'training'"),
  ],
)
def test_names_what_is_wrong(arguments, message):
  with pytest.raises(UserError, match=message):
    trax_hourglass.RelativeAttention(**arguments)
