"""A choice between hand-written gradients and JAX's own derivatives.

The hand-written ones save memory and time in the backward pass, but JAX cannot
differentiate them in forward mode.
"""

from collections.abc import Iterator
import contextlib
import contextvars
import functools

import jax

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
  """Returns a compiled function, compiled separately for `forward_mode`.

  Arguments are those of `jax.jit`.
  """

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
