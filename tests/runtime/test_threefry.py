"""Random words and keys are those of JAX's generator."""

import jax
from jax import numpy as jnp
from jax.extend import random
import numpy as np
import pytest

from trax_hourglass.runtime import threefry

KEY = jax.random.PRNGKey(3)


@pytest.mark.parametrize('module', [np, jnp])
def test_is_the_generator_of_jax(module):
  counter = module.arange(14, dtype=module.uint32)
  words = threefry.threefry(module.asarray(KEY), (counter[:7], counter[7:]))
  expected = random.threefry_2x32(KEY, jnp.arange(14, dtype=jnp.uint32))
  np.testing.assert_array_equal(np.concatenate(words), expected)


@pytest.mark.parametrize('n', [1, 2, 13])
def test_splits_as_jax_does(n):
  keys = threefry.split(KEY, n)
  expected = jax.random.split(KEY, n)
  assert isinstance(keys, np.ndarray)
  assert keys.dtype == expected.dtype
  np.testing.assert_array_equal(keys, expected)


def test_tells_its_keys_from_others():
  assert threefry.is_key(KEY)
  assert threefry.is_key(np.asarray(KEY))
  assert not threefry.is_key(jax.random.key(3))
  assert not threefry.is_key(jax.random.PRNGKey(3, impl='rbg'))
  assert not threefry.is_key(None)
