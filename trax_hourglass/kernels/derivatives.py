"""Backward passes written by hand, and JAX's own in their place.

Those by hand save memory and time, but JAX cannot differentiate them in forward
mode.
"""

from collections.abc import Iterator
import contextlib
import contextvars
import functools

import jax
from jax import numpy as jnp

from trax_hourglass.kernels import branches

_IS_FORWARD = contextvars.ContextVar('forward_mode', default=False)


@contextlib.contextmanager
def forward_mode() -> Iterator[None]:
  """Lets models be differentiated in forward mode, and in any other.

  Forward mode is used by `jax.jvp`, `jax.jacfwd`, `jax.linearize` and
  `jax.hessian`. It works for functions traced within the body, that is, called
  or compiled there for the first time. Outputs are the same; in reverse mode
  memory grows with the square of the length, as in plain attention.
  """
  token = _IS_FORWARD.set(True)
  try:
    yield
  finally:
    _IS_FORWARD.reset(token)


def is_forward() -> bool:
  """Returns whether tracing happens within `forward_mode`."""
  return _IS_FORWARD.get()


def jit(function, **options):
  """Returns `jax.jit(function)`, compiled separately for `forward_mode`."""

  def compiled():
    # A new function each time, for which JAX keeps separate traces.
    @functools.wraps(function)
    def same(*args, **kwargs):
      return function(*args, **kwargs)

    return jax.jit(same, **options)

  by_hand, by_jax = compiled(), compiled()

  @functools.wraps(function)
  def call(*args, **kwargs):
    return (by_jax if is_forward() else by_hand)(*args, **kwargs)

  return call


def matmul(x, kernel, dtype):
  """Returns x @ kernel, multiplied in their precision, in `dtype`.

  Both are matrices of one type.
  """
  return (_matmul if is_forward() else _matmul_by_hand)(x, kernel, dtype)


def _matmul(x, kernel, dtype):
  return jnp.matmul(x, kernel, preferred_element_type=dtype)


_matmul_by_hand = jax.custom_vjp(_matmul, nondiff_argnums=(2,))


def _matmul_forward(x, kernel, dtype):
  needed = kernel.value if x.perturbed else None  # For the gradient of x.
  return _matmul(x.value, kernel.value, dtype), (x.value, needed)


def _matmul_backward(dtype, residuals, dy):
  del dtype
  x, kernel = residuals
  dy = dy.astype(x.dtype)  # So that these products are as fast as the forward.
  dx = None if kernel is None else _times_transposed(dy, kernel)
  return dx, x.T @ dy


def _times_transposed(x, kernel):
  """Returns x @ kernel.T, on a CPU in float32 from a transposed copy.

  There XLA transposes more slowly in a product, and more slowly still where it
  fuses the copy with what takes the kernel from those of a loop. So the copy is
  made in a branch of a condition, into which XLA does not look.
  """

  def as_written(x, kernel):
    return x @ kernel.T

  def from_copy(x, kernel):
    return x @ jax.lax.optimization_barrier(kernel.T)

  def in_branch(x, kernel):
    return jax.lax.cond(branches.true(kernel), from_copy, as_written, x, kernel)

  if x.dtype != jnp.float32:
    return as_written(x, kernel)
  return jax.lax.platform_dependent(
    x, kernel, cpu=in_branch, default=as_written
  )


_matmul_by_hand.defvjp(_matmul_forward, _matmul_backward, symbolic_zeros=True)


def rematerialized(f, x, *constants):
  """Returns `f(x, *constants)`, which the backward pass computes again.

  Like `jax.checkpoint`, but on a CPU too: there XLA recognises the repeated
  computation and keeps its results instead. It does not look into the branches
  of a condition, so the backward pass runs in one.

  Args:
    f: Function to (differentiable output, any tree). Gradients also reach the
      floats that it closes over; it must not close over other arrays.
    x: An array or a tuple of arrays.
    *constants: Trees without gradients, such as random keys.
  """
  if is_forward():
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
      branches.true(inputs[0]),
      differentiate,
      zeros,
      inputs,
      constants,
      cotangents[0],
    )
    return gradients, None

  apply = jax.custom_vjp(lambda *arguments: forward(*arguments)[0])
  apply.defvjp(forward, backward)
  return apply((x, closed_over), constants)


def stack(trees):
  """Returns trees of arrays, alike in shape, as one with a first axis for them.

  Gradients are those of `jnp.stack`. On a CPU one compiled kernel for each
  shape takes them apart, together with what an optimizer computes of them;
  else XLA would compile another kernel for each tree.
  """
  return (_stack if is_forward() else _stack_by_hand)(trees)


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
  take the memory of a copy of these weights.

  Args:
    step: Function from x and one turn's weights and others to (next x, any
      tree). Gradients also reach the floats that it closes over.
    policy: What the backward pass finds stored, for `jax.checkpoint`.
    x: An array.
    weights: Tree of arrays whose first axis is the number of turns.
    *others: Further trees of such arrays, without gradients.
  """
  if is_forward():
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
