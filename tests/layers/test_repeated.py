"""Repeated layers compute the same as `tl.Serial`, compiled once."""

import re

import jax
from jax import numpy as jnp
import numpy as np
import pytest
from trax import layers as tl
from trax.layers import base

from tests import trax_tools
from trax_hourglass.layers.blocks import FeedForward
from trax_hourglass.layers.repeated import Repeated

N = 4
SIGNATURE = trax_tools.activations_signature(7, 6)


class Count(base.Layer):
  """Adds the number of earlier calls."""

  def init_weights_and_state(self, input_signature):
    self.state = jnp.zeros((), jnp.int32)

  def forward(self, x):
    self.state = self.state + 1
    return x + self.state


def _blocks(n, is_shared=True):
  """Returns blocks with dropout, state, and a shared bias or none."""

  def bias():
    return tl.Weights(tl.RandomNormalInitializer(1.0), (6,))

  one = bias()
  return [
    tl.Serial(
      FeedForward(6, 7, 0.2), one if is_shared else bias(), tl.Add(), Count()
    )
    for _ in range(n)
  ]


@pytest.fixture(
  scope='module',
  params=[
    pytest.param(True, id='shared'),
    pytest.param(False, id='own', marks=pytest.mark.slow),
  ],
)
def pair(request):
  """A `Repeated` and a `tl.Serial` of the same weights and random key."""
  repeated = Repeated(_blocks(N, request.param))
  serial = tl.Serial(_blocks(N, request.param))
  for layer in (repeated, serial):
    layer.rng = jax.random.PRNGKey(0)
    layer.init(SIGNATURE)
  weights, _ = tl.flatten_weights_and_state(repeated.weights, repeated.state)
  return repeated, serial, weights


def _run(layer, flat_weights):
  """Returns outputs, state and the gradients of flat weights."""
  _, flat_state = tl.flatten_weights_and_state((), layer.state)
  signature = layer.weights_and_state_signature(SIGNATURE)
  x = np.random.default_rng(0).normal(size=SIGNATURE.shape).astype(np.float32)
  rng = jax.random.PRNGKey(1)

  def loss(flat_weights):
    weights, state = tl.unflatten_weights_and_state(
      flat_weights, flat_state, signature
    )
    y, state = layer.pure_fn(x, weights, state, rng)
    return jnp.sum(y * x), (y, jax.tree.leaves(state))

  return jax.jit(jax.value_and_grad(loss, has_aux=True))(flat_weights)


def test_equals_a_serial_with_dropout_and_state(pair):
  repeated, serial, weights = pair
  (_, (y, state)), gradients = _run(repeated, weights)
  (_, (expected, expected_state)), expected_gradients = _run(serial, weights)
  np.testing.assert_allclose(y, expected, atol=1e-5)
  assert len(gradients) == len(weights)
  for x, y in zip(gradients, expected_gradients, strict=True):
    np.testing.assert_allclose(x, y, atol=1e-4)
  assert [int(x) for x in state if x.dtype == jnp.int32] == [1] * N
  for x, y in zip(state, expected_state, strict=True):
    np.testing.assert_array_equal(x, y)


def test_one_may_stand_at_two_places():
  found = []
  for combine in (Repeated, tl.Serial):
    layer = combine([tl.Serial(tl.Dense(6), Count()) for _ in range(2)])
    twice = tl.Serial(layer, tl.Relu(), layer)
    twice.rng = jax.random.PRNGKey(0)
    weights, state = twice.init(SIGNATURE)
    weights, _ = tl.flatten_weights_and_state(weights, state)
    found.append(jax.tree.leaves(_run(twice, weights)))
  for x, y in zip(*found, strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-4)


def test_the_program_does_not_grow_with_the_layers():
  def n_products(n):
    layer = Repeated(_blocks(n))
    weights, state = layer.weights_and_state_signature(SIGNATURE)
    rng = jax.random.PRNGKey(0)
    jaxpr = jax.make_jaxpr(
      lambda weights, state, x: layer.pure_fn(x, weights, state, rng)
    )(weights, state, np.zeros(SIGNATURE.shape, np.float32))
    return str(jaxpr).count('dot_general')

  assert n_products(2) == n_products(4) > 0


def test_gradients_take_the_place_of_weights():
  layer = Repeated([FeedForward(61, 67) for _ in range(N)], rematerialize=True)
  weights, _ = layer.init(trax_tools.activations_signature(1, 61))
  rng = jax.random.PRNGKey(0)

  def loss(weights, x):
    y, _ = layer.pure_fn(x, weights, layer.state, rng)
    return jnp.sum(y)

  x = np.zeros((1, 1, 61), np.float32)
  compiled = jax.jit(jax.grad(loss)).lower(weights, x).compile()
  n_bytes = sum(4 * x.size for x in jax.tree.leaves(weights))
  temporary = compiled.memory_analysis().temp_size_in_bytes
  assert temporary > 0.5 * n_bytes  # Else weights would be negligible.
  assert temporary < 1.5 * n_bytes
  # Nor are the places of all turns copied in each turn.
  loops = compiled.as_text().split('ENTRY')[0]
  assert f'f32[{N},61,67]' in loops
  assert not re.findall(rf'f32\[{N},61,67\]\S* copy\(', loops)


def test_gradients_of_all_layers_are_taken_apart_alike():
  layer = Repeated([FeedForward(5, 7) for _ in range(3)])
  weights, _ = layer.init(trax_tools.activations_signature(1, 5))
  rng = jax.random.PRNGKey(0)

  def loss(weights, x):
    return jnp.sum(layer.pure_fn(x, weights, layer.state, rng)[0])

  def update(weights, x):
    gradients = jax.grad(loss)(weights, x)
    return jax.tree.map(lambda w, g: w - g * g, weights, gradients)

  x = np.ones((1, 1, 5), np.float32)
  program = jax.jit(update).lower(weights, x).compile().as_text()
  # A place in the text would make a kernel different from those of others.
  assert re.search(r'f32\[1,5,7\]\S* dynamic-slice\(', program)
  assert not re.search(r'f32\[1,5,7\]\S* slice\(', program)
