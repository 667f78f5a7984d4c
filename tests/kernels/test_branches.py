"""Tests of branches that XLA does not look into."""

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from trax_hourglass.kernels import branches


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16, jnp.uint32])
def test_once(dtype):
  x = jnp.arange(6, dtype=dtype).reshape(2, 3)

  @jax.jit
  def twice(x):
    sine = branches.once(lambda x: jnp.sin(x.astype(jnp.float32)), x)
    return sine @ sine.T, sine + 1

  compiled = twice.lower(x).compile()
  assert compiled.as_text().count(' conditional(') == 1
  expected = np.sin(np.asarray(x, np.float32))
  for y, wanted in zip(
    compiled(x), (expected @ expected.T, expected + 1), strict=True
  ):
    np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-6)


def test_infinity_and_nan_are_no_other_branch():
  for first in (jnp.inf, jnp.nan):
    x = jnp.array([first, 2.0])
    np.testing.assert_array_equal(branches.once(lambda x: x + 1, x), x + 1)
