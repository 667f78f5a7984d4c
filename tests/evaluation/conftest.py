"""The model that tests of evaluation share."""

import jax
import numpy as np
import pytest
from trax import fastmath, shapes
from trax import layers as tl


@pytest.fixture(name='model', scope='session')
def _model():
  """A small model in which each byte affects all later predictions."""
  shared = tl.Dense(7)
  model = tl.Serial(
    tl.ShiftRight(),
    tl.Embedding(251, 7),
    [shared, tl.Dropout(rate=0.5, mode='eval'), tl.Tanh(), shared],
    tl.Fn('Sums', lambda x: fastmath.numpy.cumsum(x, axis=1)),
    tl.Tanh(),
    tl.Dense(251),
  )
  model.init(shapes.ShapeDtype((1, 13), np.int32), rng=jax.random.PRNGKey(0))
  # As drawn, all predictions are near 1 / 251.
  model.weights = fastmath.nested_map(lambda w: 3 * w, model.weights)
  return model
