"""Memory for time: a layer whose inside the backward pass computes again."""

import jax
from jax import numpy as jnp
from trax.layers import base

from trax_hourglass.kernels import derivatives


class Rematerialized(base.Layer):
  """A layer with the outputs, weights and gradients of the one inside it.

  Of all that the inner layer computes, only its inputs are kept for the
  backward pass, which computes the rest once more.
  """

  def __init__(self, layer):
    super().__init__(n_in=layer.n_in, n_out=layer.n_out, name='Rematerialized')
    self._sublayers = (layer,)
    self._weights = self._state = (None,)

  def init_weights_and_state(self, input_signature):
    weights, state = self.sublayers[0].init(input_signature, use_cache=True)
    self.weights, self.state = (weights,), (state,)

  def forward(self, x):
    (weights,), (state,), rng = self.weights, self.state, self.rng

    # Weights are closed over, not passed: a layer that is shared with others
    # keeps them for the next, which runs outside.
    def apply(x, state, rng):
      return self.sublayers[0].pure_fn(x, weights, state, rng, use_cache=True)

    y, state = rematerialized(apply, x, state, rng)
    self.state = (state,)
    return y


def rematerialized(f, x, *constants):
  """Returns `f(x, *constants)`, where the backward pass computes `f` again.

  As `jax.checkpoint` does, but on a CPU too: there XLA finds that what is
  computed again is what it has computed, and keeps that. It does not look for
  it in the branch of a condition, so that is where the backward pass runs.

  Args:
    f: Function to a differentiable output and anything else. Gradients also
      reach the floats that it closes over; it closes over no other arrays.
    x: Its first argument, an array or a tuple of them.
    *constants: Trees that no gradient reaches, such as random keys.
  """
  if derivatives.is_forward():
    return jax.checkpoint(f)(x, *constants)
  f, closed_over = jax.closure_convert(f, x, *constants)

  def forward(inputs, constants):
    x, closed_over = inputs
    return f(x, *constants, *closed_over), (inputs, constants)

  def backward(residuals, cotangents):
    inputs, constants = residuals

    def differentiate(inputs, constants, cotangent):
      _, vjp = jax.vjp(lambda inputs: forward(inputs, constants)[0][0], inputs)
      return vjp(cotangent)[0]

    def zeros(inputs, *_):
      return jax.tree.map(jnp.zeros_like, inputs)

    gradients = jax.lax.cond(
      _true(inputs), differentiate, zeros, inputs, constants, cotangents[0]
    )
    return gradients, None

  apply = jax.custom_vjp(lambda *arguments: forward(*arguments)[0])
  apply.defvjp(forward, backward)
  return apply((x, closed_over), constants)


def _true(inputs):
  """Returns True, which XLA cannot tell before it runs."""
  number = jax.tree.leaves(inputs)[0].ravel()[0]
  return jnp.minimum(jnp.isnan(number).astype(jnp.int32), 0) == 0
