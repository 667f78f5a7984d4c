"""A loop over layers with stacked weights, and its backward pass.

`derivatives` says when JAX's own backward passes take the place of these.
"""

import functools

import jax
from jax import numpy as jnp

from trax_hourglass.kernels import branches, derivatives


def stack(trees):
  """Returns trees of arrays, alike in shape, as one with a first axis for them.

  Gradients are those of `jnp.stack`. On a CPU one compiled kernel for each
  shape takes them apart, together with what an optimizer computes of them;
  else XLA would compile another kernel for each tree.
  """
  return (_stack if derivatives.is_forward() else _stack_by_hand)(trees)


def _stack(trees):
  return jax.tree.map(lambda *arrays: jnp.stack(arrays), *trees)


_stack_by_hand = jax.custom_vjp(_stack)


def _stack_forward(trees):
  return _stack(trees), [()] * len(trees)


def _stack_backward(trees, gradients):
  def numbers(n):
    return [jnp.uint32(i) for i in range(n)]

  def unknown_numbers(n):
    # XLA fuses any other number into each kernel, and also those that a loop
    # counts.
    n_times = 1 - branches.true(gradients).astype(jnp.int32)
    return jax.lax.fori_loop(
      0, n_times, lambda _, xs: [~x for x in xs], numbers(n)
    )

  indices = jax.lax.platform_dependent(
    cpu=functools.partial(unknown_numbers, len(trees)),
    default=functools.partial(numbers, len(trees)),
  )

  def at(i):
    return jax.tree.map(
      lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), gradients
    )

  return ([at(i) for i in indices],)


_stack_by_hand.defvjp(_stack_forward, _stack_backward)


def repeat(step, policy, x, weights, *others):
  """Returns the last `x` of a loop and the stacked further outputs of `step`.

  Like `jax.lax.scan`, but in the backward pass the gradients of stacked weights
  take the place of a copy of these weights.

  Args:
    step: Function from x and one turn's weights and others to (next x, any
      tree). Gradients also reach the floats that it closes over.
    policy: What the backward pass finds stored, for `jax.checkpoint`.
    x: An array.
    weights: Tree of arrays whose first axis is the number of turns.
    *others: Further trees of such arrays, without gradients.
  """
  if derivatives.is_forward():
    step = jax.checkpoint(step, prevent_cse=False, policy=policy)
    return jax.lax.scan(
      lambda x, inputs: step(x, *inputs), x, (weights, *others)
    )
  first = jax.tree.map(lambda a: a[0], (weights, *others))
  step, closed_over = jax.closure_convert(step, x, *first)
  step = jax.checkpoint(step, prevent_cse=False, policy=policy)
  return _loop(step, x, weights, others, closed_over)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _loop(step, x, weights, others, closed_over):
  def turn(x, inputs):
    return step(x, *inputs, *closed_over)

  return jax.lax.scan(turn, x, (weights, *others))


def _loop_forward(step, x, weights, others, closed_over):
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


def _loop_backward(step, residuals, cotangents):
  del step
  weights, closed_over, pull_backs = residuals
  n = len(jax.tree.leaves((weights, pull_backs))[0])

  def turn(carry, inputs):
    dx, places, sums = carry
    i, pull_back = inputs
    weights = jax.tree.map(lambda a: a[i], places)
    dx, gradients, more = pull_back((weights, closed_over))(dx)
    # A turn's weights must be read before their place is overwritten, or XLA
    # copies all places in every turn: so the index depends on the gradients.
    i = jnp.where(branches.true((dx, gradients)), i, 0)

    def update(place, gradient):
      # Layers of Trax may compute in 64 bits where JAX lets them.
      gradient = gradient.astype(place.dtype)
      return jax.lax.dynamic_update_index_in_dim(place, gradient, i, axis=0)

    places = jax.tree.map(update, places, gradients)
    return (dx, places, jax.tree.map(jnp.add, sums, more)), None

  zeros = jax.tree.map(jnp.zeros_like, closed_over)
  (dx, gradients, sums), _ = jax.lax.scan(
    turn,
    (cotangents[0], weights, zeros),
    (jnp.arange(n), pull_backs),
    reverse=True,
  )
  return dx, gradients, None, sums


_loop.defvjp(_loop_forward, _loop_backward)


def _without(tree, known):
  """Returns a function from `known` arrays to the tree, without holding them.

  So a loop does not stack, with each turn's residuals, arrays that it has.
  """
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
