"""Layers of one structure, compiled as one."""

import jax
from jax import numpy as jnp
from trax.layers import base

from trax_hourglass.layers.basic import STORED


class Repeated(base.Layer):
  """Layers one after the other, as in `tl.Serial`, in a loop.

  Maps an array to one of the same shape. Flat weights and outputs are those of
  `tl.Serial`, but only one layer is compiled, however many there are. Of each,
  the backward pass finds the input and what is marked by `basic.stored`, and
  computes the rest again.

  Args:
    layers: At least one, all built alike, each from one array to one like it.
    rematerialize: Whether the backward pass finds the inputs alone.
  """

  def __init__(self, layers, rematerialize=False):
    super().__init__(name='Repeated')
    policies = jax.checkpoint_policies
    self._policy = (
      policies.nothing_saveable
      if rematerialize
      else policies.save_only_these_names(STORED)
    )
    self._sublayers = tuple(layers)
    self._weights = self._state = (None,) * len(self._sublayers)

  def init_weights_and_state(self, input_signature):
    weights_and_state = [
      layer.init(input_signature, use_cache=True) for layer in self.sublayers
    ]
    self.weights, self.state = zip(*weights_and_state, strict=True)

  def forward(self, x):
    # A layer that they share has its weights in the first of them, and a mark
    # in their place in the last. It knows them by now, and so does the loop.
    *_, last = self.sublayers

    def step(x, inputs):
      weights, state, rng = inputs
      return last.pure_fn(x, weights, state, rng, use_cache=True)

    y, states = jax.lax.scan(
      jax.checkpoint(step, prevent_cse=False, policy=self._policy),
      x,
      (
        _stack(self.weights, base.GET_WEIGHTS_FROM_CACHE),
        _stack(self.state, base.GET_STATE_FROM_CACHE),
        jax.random.split(self.rng, len(self.sublayers)),
      ),
    )
    leaves = jax.tree.leaves(states)
    self.state = tuple(
      jax.tree.unflatten(jax.tree.structure(old), [leaf[i] for leaf in leaves])
      for i, old in enumerate(self.state)
    )
    return y


def _stack(trees, mark):
  """Returns the last tree, its leaves stacked with those of the others."""

  def is_mark(x):
    return isinstance(x, dict) and x == mark

  def stack(last, *leaves):
    return last if is_mark(last) else jnp.stack(leaves)

  return jax.tree.map(stack, trees[-1], *trees, is_leaf=is_mark)
