"""Tests that accumulated gradients train as the whole batch does."""

import itertools

import jax
import numpy as np
import pytest
from trax import layers as tl
from trax import optimizers
from trax.supervised import training as trax_training

from trax_hourglass.errors import UserError
from trax_hourglass.training import Loop, accumulation

_VOCAB_SIZE = 7


def _batches():
  """Yields batches whose sequences have different loss weights."""
  rng = np.random.default_rng(0)
  while True:
    tokens = rng.integers(_VOCAB_SIZE, size=(6, 5)).astype(np.int32)
    loss_weights = rng.integers(1, 4, size=(6, 1)) * np.ones((6, 5))
    yield tokens, tokens, loss_weights.astype(np.float32)


def _train(device_batch_size, *layers, loss=None, batches=None):
  """Returns losses and flat weights after a few steps."""
  task = trax_training.TrainTask(
    batches or _batches(),
    loss or tl.WeightedCategoryCrossEntropy(),
    optimizers.SGD(0.5),
    n_steps_per_checkpoint=1,
  )
  model = tl.Serial(
    tl.Embedding(_VOCAB_SIZE, 3), *layers, tl.Dense(_VOCAB_SIZE)
  )
  loop = Loop(model, task, random_seed=0, device_batch_size=device_batch_size)
  loop.run(3)
  losses = loop.history.get('train', f'metrics/{task.loss_layer.name}')
  flat_weights, _ = tl.flatten_weights_and_state(model.weights, model.state)
  return losses, flat_weights


@pytest.fixture(scope='module')
def whole():
  return _train(None)


@pytest.mark.parametrize('device_batch_size', [1, 2, 3])
def test_losses_and_weights_are_the_same_as_for_the_whole_batch(
  whole, device_batch_size
):
  losses, weights = _train(device_batch_size)
  np.testing.assert_allclose(losses, whole[0], rtol=1e-5)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6),
    weights,
    whole[1],
  )


@pytest.mark.parametrize('targets', [[0, 0, 6, 3], [0, 0, 0, 0]])
def test_targets_are_not_weights(targets):
  """A loss without weights counts all parts equally."""
  loss, y = tl.CategoryCrossEntropy(), np.array(targets, np.int32)

  def train(device_batch_size):
    batches = itertools.repeat((np.arange(4, dtype=np.int32), y))
    return _train(device_batch_size, loss=loss, batches=batches)

  (losses, weights), (expected_losses, expected) = train(2), train(None)
  np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
  for x, x_expected in zip(weights, expected, strict=True):
    np.testing.assert_allclose(x, x_expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('weight', [0, np.nan])
def test_loss_without_weights_is_not_finite(weight):
  """As for a whole batch, so that the run notices."""
  tokens = np.zeros((2, 3), np.int32)
  batches = itertools.repeat((tokens, tokens, tokens * np.float32(weight)))
  with pytest.raises(UserError, match='step 1: loss nan'):
    _train(1, batches=batches)


class _Draws(tl.base.Layer):
  """Counts in its state, and returns that and a random number."""

  def init_weights_and_state(self, input_signature):
    self.state = jax.numpy.zeros(())

  def forward(self, x):
    self.state = self.state + 1
    drawn = jax.random.uniform(self.rng, x.shape)
    return 0 * x + drawn + 10 * self.state


def test_parts_share_a_state_and_draw_for_themselves():
  layer = _Draws()
  x = np.zeros((4, 3), np.float32)
  layer.init(tl.base.signature(x))
  seen = []

  def forward_and_backward(batch, weights, state, rng):
    y, state = layer.pure_fn(batch[0], weights, state, rng)
    jax.debug.callback(seen.append, y, ordered=True)
    return (y.mean(), state), weights

  fn = jax.jit(accumulation.accumulate(forward_and_backward, 2))
  (_, state), _ = fn((x, x), (), layer.state, jax.random.PRNGKey(0))
  jax.effects_barrier()
  assert state == 1
  assert [int(np.min(y)) // 10 for y in seen] == [1, 1]
  assert np.abs(np.asarray(seen[0]) - np.asarray(seen[1])).min() > 0


def test_gradients_of_bfloat16_weights_are_added_up_in_float32():
  def forward_and_backward(batch, weights, state, rng):
    return (batch[0].mean(), state), weights

  fn = jax.jit(accumulation.accumulate(forward_and_backward, 256))
  ones = np.ones(3, jax.numpy.bfloat16)
  x = np.zeros(256, np.float32)
  _, gradients = fn((x,), ones, (), jax.random.PRNGKey(0))
  assert gradients.dtype == jax.numpy.bfloat16
  np.testing.assert_array_equal(gradients, ones)


@pytest.mark.parametrize(
  ('arguments', 'expected'),
  [((64,), 1), ((64, 8, 1), 8), ((8, 1, 2), 4), ((8, 2, 16), 1)],
)
def test_n_parts(arguments, expected):
  assert accumulation.n_parts(*arguments) == expected


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ((8, 3), 'batch_size: got 8, expected a multiple of the 3 devices'),
    ((12, 2, 4), 'device_batch_size: got 4, .* one of 1, 2, 3, 6'),
    ((12, 2, 0), 'device_batch_size: got 0'),
  ],
)
def test_refuses_what_does_not_split(arguments, message):
  with pytest.raises(UserError, match=message):
    accumulation.n_parts(*arguments)
