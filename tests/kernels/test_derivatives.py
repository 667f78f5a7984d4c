"""Tests of products and of their gradients."""

import re

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from trax_hourglass.kernels import derivatives


def _loss(matmul):
  return lambda x, kernel: jnp.sum(jnp.sin(matmul(jnp.tanh(x), kernel)))


def _by_hand(x, kernel):
  return derivatives.matmul(x, kernel, jnp.float32)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_gradients_of_products(dtype):
  rng = np.random.default_rng(0)
  x, kernel = (
    jnp.asarray(rng.normal(size=shape), dtype) for shape in [(7, 5), (5, 3)]
  )
  expected = jax.grad(_loss(jnp.matmul), argnums=(0, 1))(
    *(a.astype(jnp.float32) for a in (x, kernel))
  )
  gradients = jax.jit(jax.grad(_loss(_by_hand), argnums=(0, 1)))(x, kernel)
  atol = {'float32': 1e-5, 'bfloat16': 0.05}[dtype]
  for gradient, right in zip(gradients, expected, strict=True):
    assert gradient.dtype == dtype
    np.testing.assert_allclose(gradient.astype(jnp.float32), right, atol=atol)


@pytest.mark.skipif(jax.default_backend() != 'cpu', reason='for CPUs')
def test_gradients_of_activations_multiply_a_transposed_copy():
  gradient = jax.jit(jax.grad(_loss(_by_hand)))
  x, kernel = np.ones((128, 64), np.float32), np.ones((64, 32), np.float32)
  text = gradient.lower(x, kernel).compile().as_text()
  taken = r' dot\(.*rhs_contracting_dims={(\d)}.*/branch_1_fun/dot_general'
  assert re.findall(taken, text) == ['0']


def test_constants_take_no_product_for_a_gradient():
  x, kernel = np.ones((7, 5), np.float32), np.ones((5, 3), np.float32)
  gradient = jax.grad(lambda kernel: _loss(_by_hand)(x, kernel))
  # Those of the output and of the kernel's gradient.
  assert str(jax.make_jaxpr(gradient)(kernel)).count('dot_general[') == 2
