"""Tests of derivatives in forward mode, and of second derivatives."""

import contextlib

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from tests import trax_tools
from tests.models import predicting
import trax_hourglass as th
from trax_hourglass.kernels import derivatives

LENGTH = 4
TOKENS = predicting.tokens(LENGTH)
CASES = {
  'levels': {'hierarchy': '0@1 2@2 0@1'},
  'rematerialized': {'hierarchy': '1@1', 'rematerialize': True},
  'rotary': {'hierarchy': '1@1', 'vanilla_attn_type': th.RotaryAttention},
  'local': {'hierarchy': '1@1', 'vanilla_attn_type': th.LocalAttention},
}


class _Loss:
  """A model's loss as a function of its weights, a point and a direction."""

  def __init__(self, **arguments):
    model = th.HourglassLM(**predicting.WIDTHS, mode='eval', **arguments)
    forward = trax_tools.Jitted(model, trax_tools.tokens_signature(LENGTH))
    ones = np.ones(TOKENS.shape, np.float32)
    self._forward = lambda weights: trax_tools.cross_entropy(
      forward(weights, TOKENS), TOKENS, ones
    )
    self.weights = forward.random_weights()
    direction = forward.random_weights(1)
    norm = np.sqrt(sum((d**2).sum() for d in direction))
    self.direction = [d / norm for d in direction]

  def __call__(self, weights):
    return self._forward(weights)

  def slope(self, f):
    """Returns the derivative of a function along the direction."""
    return jax.jit(lambda w, d: jax.jvp(f, (w,), (d,))[1])(
      self.weights, self.direction
    )

  def along(self, tree):
    return sum(map(jnp.vdot, tree, self.direction))


@pytest.mark.parametrize(
  'name',
  [
    pytest.param(
      name, marks=pytest.mark.slow if name != 'rematerialized' else ()
    )
    for name in CASES
  ],
)
def test_slope_is_that_of_the_gradient(name):
  loss = _Loss(**CASES[name])
  value, gradient = jax.jit(jax.value_and_grad(loss))(loss.weights)
  expected = loss.along(gradient)
  with th.forward_mode():
    loss = _Loss(**CASES[name])
    assert loss(loss.weights) == pytest.approx(float(value), rel=1e-6)
    assert loss.slope(loss) == pytest.approx(float(expected), rel=1e-4)
    reverse = jax.jit(jax.grad(loss))(loss.weights)
  for x, y in zip(reverse, gradient, strict=True):
    np.testing.assert_allclose(x, y, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_slope_of_the_gradient(name):
  """Forward over reverse, reverse over reverse and differences agree.

  Neither needs `forward_mode`, but for a model that is rematerialized.
  """
  loss = _Loss(**CASES[name])
  gradient = jax.jit(jax.grad(loss))
  step = 3e-2
  before, after = (
    gradient(
      [w + s * d for w, d in zip(loss.weights, loss.direction, strict=True)]
    )
    for s in (-step, step)
  )
  expected = (loss.along(after) - loss.along(before)) / (2 * step)
  reverse = jax.jit(jax.grad(lambda w: loss.along(jax.grad(loss)(w))))
  found = loss.along(reverse(loss.weights))
  assert found == pytest.approx(float(expected), rel=0.02)
  is_needed = name == 'rematerialized'
  with th.forward_mode() if is_needed else contextlib.nullcontext():
    loss = _Loss(**CASES[name])
    forward = loss.along(loss.slope(jax.grad(loss)))
  assert forward == pytest.approx(float(found), rel=1e-4)


def test_forward_mode_ends_with_its_body():
  def f(x):
    return derivatives.rematerialized(jnp.sin, x)

  with th.forward_mode():
    _, slope = jax.jvp(f, (0.0,), (2.0,))
  assert slope == 2.0
  with pytest.raises(TypeError, match='forward-mode'):
    jax.jvp(f, (0.0,), (2.0,))
