"""Layers that the backward pass computes again: a single one, or a loop."""

import jax
from trax import fastmath
from trax.layers import base

from trax_hourglass.kernels import blockwise, derivatives, loops
from trax_hourglass.layers.basic import STORED


class Rematerialized(base.Layer):
  """Runs a layer that the backward pass computes again, from its inputs.

  Outputs, flat weights and gradients are those of the layer.
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

    # Weights are closed over, not passed: a shared layer caches them for its
    # next use, which may be outside this function.
    def apply(x, state, rng):
      return self.sublayers[0].pure_fn(x, weights, state, rng, use_cache=True)

    y, state = derivatives.rematerialized(apply, x, state, rng)
    self.state = (state,)
    return y


class Repeated(base.Layer):
  """Runs layers one after the other, in a loop of which one turn is compiled.

  Maps an array to one of the same shape. Flat weights and outputs are those of
  `tl.Serial`. For the backward pass each layer keeps its input, the arrays that
  `basic.stored` marks and those of `blockwise` attention; the rest is computed
  again.

  Args:
    layers: At least one, all built alike, each from one array to one like it.
    rematerialize: Whether each layer keeps its input alone.
  """

  def __init__(self, layers, rematerialize=False):
    super().__init__(name='Repeated')
    policies = jax.checkpoint_policies
    self._policy = (
      policies.nothing_saveable
      if rematerialize
      else policies.save_only_these_names(STORED, blockwise.OUTPUTS)
    )
    self._sublayers = tuple(layers)
    self._weights = self._state = (None,) * len(self._sublayers)

  def init_weights_and_state(self, input_signature):
    weights_and_state = [
      layer.init(input_signature, use_cache=True) for layer in self.sublayers
    ]
    self.weights, self.state = zip(*weights_and_state, strict=True)

  def _forward_abstract(self, input_signature):
    # Saves the initialisation of a model a trace of `forward`.
    return input_signature, base.nested_map(base.signature, self.state)

  def forward(self, x):
    # A layer that all of them share has its weights in the first of them, or in
    # a layer before; in the last it has a mark in their place, and has cached
    # them by now.
    *_, last = self.sublayers
    weights = self.weights

    def step(x, weights, state, rng):
      return last.pure_fn(x, weights, state, rng, use_cache=True)

    y, states = loops.repeat(
      step,
      self._policy,
      x,
      _stack(weights, base.GET_WEIGHTS_FROM_CACHE),
      _stack(jax.lax.stop_gradient(self.state), base.GET_STATE_FROM_CACHE),
      fastmath.random.split(self.rng, len(self.sublayers)),
    )
    self.weights = weights  # The last layer has those of a trace that ended.
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

  def owned(last, x):
    return last if is_mark(last) else x

  return loops.stack(
    [jax.tree.map(owned, trees[-1], tree, is_leaf=is_mark) for tree in trees]
  )
