"""Tests of local attention: its values and memory."""

import jax
import numpy as np
import pytest

from trax_hourglass.kernels import local


@pytest.mark.parametrize(('window', 'length'), [(3, 11), (16, 11)])
def test_equals_full_attention_under_a_band(window, length):
  q, k, v = np.random.default_rng(0).normal(size=(3, 2, length, 5)).astype('f')
  j, i = np.indices((length, length))[::-1]
  band = (j <= i) & (j > i - window)
  limited = jax.jit(local.local_attention, static_argnums=3)(q, k, v, window)
  full = jax.jit(local.attend)(q, k, v, band)
  np.testing.assert_allclose(limited, full, atol=1e-6)


@pytest.mark.parametrize('window', [3, 16])
def test_documents_are_attended_to_alone(window):
  q, k, v = np.random.default_rng(0).normal(size=(3, 2, 11, 5)).astype('f')
  starts = [[0] * 4 + [4] * 6 + [10], [0] * 11]
  j, i = np.indices((11, 11))[::-1]
  band = (j <= i) & (j > i - window) & (j >= np.array(starts)[..., None])
  limited = local.local_attention(q, k, v, window, first=np.array(starts))
  full = local.attend(q, k, v, band)
  np.testing.assert_allclose(limited, full, atol=1e-6)


def test_memory_grows_with_length_times_window():
  length, window, d = 512, 8, 4
  x = np.zeros((1, length, d), np.float32)

  def loss(q, k, v):
    return local.local_attention(q, k, v, window).sum()

  jaxpr = jax.make_jaxpr(jax.grad(loss, argnums=(0, 1, 2)))(x, x, x)
  largest = max(
    np.prod(variable.aval.shape)
    for equation in jaxpr.eqns
    for variable in equation.outvars
  )
  assert largest == length * 2 * window
