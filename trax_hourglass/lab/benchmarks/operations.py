"""Matrix products: how many operations a program has, and a machine's rate."""

import time

import jax
from jax import numpy as jnp
import numpy as np

from trax_hourglass.lab.benchmarks import device


def matrix_product_rate(n: int = 2048, repeats: int = 5) -> float:
  """Returns the operations per second of this machine's matrix products."""
  x = jnp.ones((n, n))
  product = jax.jit(jnp.matmul).lower(x, x).compile()
  seconds = []
  for _ in range(repeats + 1):
    start = time.perf_counter()
    jax.block_until_ready(product(x, x))
    seconds.append(time.perf_counter() - start)
  return 2 * n**3 / min(seconds[1:])


def printed_peak() -> float:
  """Returns `matrix_product_rate`, and prints it with the device's name."""
  peak = matrix_product_rate()
  print(
    f'{device.name()}: products of 2048 x 2048 matrices at '
    f'{peak / 1e9:.0f} GFLOP/s'
  )
  return peak


def product_operations(jaxpr) -> int:
  """Returns the operations of all matrix products of a jaxpr.

  XLA's own count takes the body of a loop once; this one takes it as often as
  it runs. Of the branches of a condition it takes the most expensive.
  """
  total = 0
  for equation in jaxpr.eqns:
    inner = [
      product_operations(getattr(x, 'jaxpr', x))
      for x in jax.tree.leaves(tuple(equation.params.values()))
      if hasattr(getattr(x, 'jaxpr', x), 'eqns')
    ]
    if equation.primitive.name == 'dot_general':
      (contracted, _), _ = equation.params['dimension_numbers']
      left = equation.invars[0].aval.shape
      total += 2 * int(
        np.prod(equation.outvars[0].aval.shape)
        * np.prod([left[axis] for axis in contracted])
      )
    elif equation.primitive.name == 'scan':
      total += equation.params['length'] * sum(inner)
    elif equation.primitive.name == 'cond':
      total += max(inner)
    else:
      total += sum(inner)
  return total
