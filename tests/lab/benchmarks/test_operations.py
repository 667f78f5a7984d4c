import jax
from jax import numpy as jnp

from trax_hourglass.lab.benchmarks import operations


def test_counts_products_as_often_as_they_run():
  x = jnp.ones((4, 5))

  def f(x):
    def body(carry, _):
      return carry + jnp.sum(x @ x.T), None

    total, _ = jax.lax.scan(body, 0.0, length=3)
    return jax.lax.cond(total > 0, lambda: jnp.sum(x.T @ x), lambda: 0.0)

  jaxpr = jax.make_jaxpr(f)(x).jaxpr
  assert (
    operations.product_operations(jaxpr) == 3 * 2 * 4 * 5 * 4 + 2 * 5 * 4 * 5
  )
