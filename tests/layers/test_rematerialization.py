"""Rematerialised, a model is the same and its training step smaller."""

import jax
import numpy as np
import pytest
from trax import layers as tl

from tests import trax_tools
import trax_hourglass as th

LENGTH = 128


def _model(hierarchy, rematerialize):
  return th.HourglassLM(
    vocab_size=13,
    d_model=12,
    d_ff=48,
    n_heads=2,
    hierarchy=hierarchy,
    dropout=0.1,
    mode='train',
    rematerialize=rematerialize,
  )


@pytest.fixture(
  scope='module',
  params=['2@1', pytest.param('2@1 1@2 0@1', marks=pytest.mark.slow)],
)
def steps(request):
  """Loss and gradients of the same weights, kept and rematerialised."""
  signature = trax_tools.tokens_signature(LENGTH)
  plain = _model(request.param, rematerialize=False)
  plain.init(signature)
  flat, flat_state = tl.flatten_weights_and_state(plain.weights, plain.state)
  return [
    _compile(_model(request.param, rematerialize), signature, flat, flat_state)
    for rematerialize in (False, True)
  ]


def _compile(model, signature, flat, flat_state):
  """Returns the step, and the weights that it is to be called with."""
  weights, state = tl.unflatten_weights_and_state(
    flat, flat_state, model.weights_and_state_signature(signature)
  )
  tokens = np.arange(LENGTH, dtype=np.int32)[None] % 13
  rng = jax.random.PRNGKey(1)
  _ = model.rng  # Made when first read: not within a trace.

  def loss(weights):
    logits, _ = model.pure_fn(tokens, weights, state, rng)
    return trax_tools.cross_entropy(logits, tokens, np.ones(tokens.shape))

  return jax.jit(jax.value_and_grad(loss)).lower(weights).compile(), weights


def test_loss_and_gradients_are_equal_with_dropout(steps):
  (loss, gradients), (other_loss, other_gradients) = (
    step(weights) for step, weights in steps
  )
  np.testing.assert_allclose(other_loss, loss, rtol=1e-6)
  for x, y in zip(
    jax.tree.leaves(gradients), jax.tree.leaves(other_gradients), strict=True
  ):
    np.testing.assert_allclose(y, x, atol=1e-6)


def test_takes_less_memory(steps):
  kept, rematerialized = (
    step.memory_analysis().temp_size_in_bytes for step, _ in steps
  )
  assert rematerialized < 0.75 * kept
