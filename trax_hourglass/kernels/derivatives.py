"""Backward passes written by hand, and a switch to JAX's own.

Those by hand save memory and time, but JAX cannot differentiate them in forward
mode, nor check them within `jax.shard_map`: give that `check_vma=False`.
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

  There XLA transposes more slowly within a product, and more slowly still where
  it fuses the copy with the slice that takes the kernel from those of a loop.
  So the copy is made in a branch, see `branches`.
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

  Like `jax.checkpoint`, but on a CPU too: there XLA would merge the repeated
  computation with the first and keep its results. So the backward pass runs in
  a branch, see `branches`.

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
