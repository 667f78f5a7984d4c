"""Layers of one structure, compiled as one."""

import jax
from jax import numpy as jnp
from trax import fastmath
from trax.layers import base

from trax_hourglass.kernels import blockwise, derivatives
from trax_hourglass.layers.basic import STORED


class Repeated(base.Layer):
  """Layers one after the other, as in `tl.Serial`, in a loop.

  Maps an array to one of the same shape. Flat weights and outputs are those of
  `tl.Serial`, but only one layer is compiled, however many there are. For the
  backward pass each layer keeps its input, the arrays marked by `basic.stored`
  and those that `blockwise` attention keeps; the rest is recomputed.

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
      else policies.save_only_these_names(STORED, blockwise.OUTPUTS)
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

    def step(x, weights, state, rng):
      return last.pure_fn(x, weights, state, rng, use_cache=True)

    y, states = repeat(
      step,
      self._policy,
      x,
      _stack(self.weights, base.GET_WEIGHTS_FROM_CACHE),
      _stack(self.state, base.GET_STATE_FROM_CACHE),
      fastmath.random.split(self.rng, len(self.sublayers)),
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


def repeat(step, policy, x, weights, *others):
  """Returns the last `x` of a loop and the stacked further outputs of `step`.

  As `jax.lax.scan`, but in the backward pass each gradient of stacked weights
  takes the place in memory of the weights that it belongs to.

  Args:
    step: Function from x and the weights and others of one turn to the next x
      and any tree. Gradients also reach the floats that it closes over.
    policy: What the backward pass finds stored, for `jax.checkpoint`.
    x: An array.
    weights: Tree of arrays that all have the number of turns as first axis.
    *others: Further trees of such arrays, which no gradient reaches.
  """
  if derivatives.is_forward():
    step = jax.checkpoint(step, prevent_cse=False, policy=policy)
    return jax.lax.scan(
      lambda x, inputs: step(x, *inputs), x, (weights, *others)
    )
  n = len(jax.tree.leaves((weights, others))[0])
  first = jax.tree.map(lambda a: a[0], (weights, *others))
  step, closed_over = jax.closure_convert(step, x, *first)
  step = jax.checkpoint(step, prevent_cse=False, policy=policy)

  def forward(x, weights, others, closed_over):
    def turn(x, inputs):
      weights, *others = inputs

      def differentiated(x, weights, closed_over):
        return step(x, weights, *others, *closed_over)

      y, pull_back, output = jax.vjp(
        differentiated, x, weights, closed_over, has_aux=True
      )
      return y, (output, _without(pull_back, (weights, closed_over)))

    y, (outputs, pull_backs) = jax.lax.scan(turn, x, (weights, *others))
    return (y, outputs), (weights, closed_over, pull_backs)

  def backward(residuals, cotangents):
    weights, closed_over, pull_backs = residuals

    def turn(carry, inputs):
      dx, places, sums = carry
      i, pull_back = inputs
      weights = jax.tree.map(lambda a: a[i], places)
      dx, gradients, more = pull_back((weights, closed_over))(dx)
      # All reading of a place comes before it is written.
      dx, gradients = jax.lax.optimization_barrier((dx, gradients))
      places = jax.tree.map(lambda a, g: a.at[i].set(g), places, gradients)
      return (dx, places, jax.tree.map(jnp.add, sums, more)), None

    zeros = jax.tree.map(jnp.zeros_like, closed_over)
    (dx, gradients, sums), _ = jax.lax.scan(
      turn,
      (cotangents[0], weights, zeros),
      (jnp.arange(n), pull_backs),
      reverse=True,
    )
    return dx, gradients, None, sums

  @jax.custom_vjp
  def run(x, weights, others, closed_over):
    def turn(x, inputs):
      return step(x, *inputs, *closed_over)

    return jax.lax.scan(turn, x, (weights, *others))

  run.defvjp(forward, backward)
  return run(x, weights, others, closed_over)


def _without(tree, known):
  """Returns a function from `known` to a tree, a tree without those arrays."""
  leaves, structure = jax.tree.flatten(tree)
  ids = [id(leaf) for leaf in jax.tree.leaves(known)]
  places = [ids.index(id(x)) if id(x) in ids else None for x in leaves]

  def put_back(rest, known):
    known, rest = jax.tree.leaves(known), iter(rest)
    return jax.tree.unflatten(
      structure, [next(rest) if i is None else known[i] for i in places]
    )

  rest = [leaf for leaf in leaves if id(leaf) not in ids]
  return jax.tree_util.Partial(put_back, rest)
