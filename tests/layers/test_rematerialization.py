"""Rematerialised layers compute the same in less memory."""

import jax
from jax import numpy as jnp
import numpy as np
import pytest
from trax import layers as tl

from tests import trax_tools
import trax_hourglass as th
from trax_hourglass.layers.blocks import FeedForward
from trax_hourglass.layers.repeated import Rematerialized, Repeated
from trax_hourglass.layers.shorten_factor_dropout import ShortenFactorDropout

LENGTH = 128
WIDTHS = {'d_model': 12, 'd_ff': 48}


def _single(rematerialize):
  layers = [FeedForward(12, 48, 0.1) for _ in range(3)]
  return tl.Serial([Rematerialized(x) if rematerialize else x for x in layers])


def _repeated(rematerialize):
  return Repeated([FeedForward(12, 48, 0.1) for _ in range(6)], rematerialize)


def _drawn(rematerialize):
  return ShortenFactorDropout([_single(rematerialize) for _ in range(2)])


def _model(hierarchy):
  def build(rematerialize):
    return th.Hourglass(
      **WIDTHS,
      n_heads=2,
      hierarchy=hierarchy,
      dropout=0.1,
      rematerialize=rematerialize,
    )

  return build


@pytest.fixture(
  scope='module',
  params=[
    pytest.param(_single, id='single'),
    pytest.param(_repeated, id='repeated'),
    pytest.param(_drawn, id='drawn', marks=pytest.mark.slow),
    pytest.param(_model('8@1'), id='8@1', marks=pytest.mark.slow),
    pytest.param(_model('8@1 1@2 0@1'), id='valley', marks=pytest.mark.slow),
  ],
)
def steps(request):
  """Loss and gradients of the same weights, kept and rematerialised."""
  signature = trax_tools.activations_signature(LENGTH, 12)
  plain = request.param(rematerialize=False)
  plain.init(signature)
  flat, flat_state = tl.flatten_weights_and_state(plain.weights, plain.state)
  return [
    _compile(request.param(rematerialize), signature, flat, flat_state)
    for rematerialize in (False, True)
  ]


def _compile(layer, signature, flat, flat_state):
  """Returns the compiled step, and the weights to call it with."""
  weights, state = tl.unflatten_weights_and_state(
    flat, flat_state, layer.weights_and_state_signature(signature)
  )
  x = np.random.default_rng(0).normal(size=signature.shape).astype(np.float32)
  rng = jax.random.PRNGKey(1)
  _ = layer.rng  # Made when first read: not within a trace.

  def loss(weights):
    y, _ = layer.pure_fn(x, weights, state, rng)
    return jnp.mean(jnp.square(y))

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


def test_has_gradients_in_a_branch_that_is_drawn():
  layer = ShortenFactorDropout(
    [Rematerialized(FeedForward(12, 48, 0.1)) for _ in range(2)]
  )
  signature = trax_tools.activations_signature(LENGTH, 12)
  weights, state = layer.weights_and_state_signature(signature)

  def loss(weights, state, x, rng):
    return jnp.sum(layer.pure_fn(x, weights, state, rng)[0])

  rng = jax.random.PRNGKey(0)
  x = np.ones(signature.shape, np.float32)
  step = jax.jit(jax.grad(loss)).lower(weights, state, x, rng)
  assert 'stablehlo.case' in step.as_text()
