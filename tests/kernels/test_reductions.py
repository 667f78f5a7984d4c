import jax
import numpy as np
import pytest

from trax_hourglass.kernels import reductions


@pytest.mark.parametrize('n', [1, 31, 66, 96, 256])
def test_rows_of_any_length(n):
  x = np.random.default_rng(0).normal(size=(2, 3, n)).astype(np.float32)
  np.testing.assert_array_equal(
    reductions.largest(x), x.max(axis=-1, keepdims=True)
  )
  np.testing.assert_allclose(
    reductions.total(x), x.sum(axis=-1, keepdims=True), atol=1e-5
  )


@pytest.mark.skipif(jax.default_backend() != 'cpu', reason='for CPUs')
def test_xla_reduces_no_windows():
  x = np.ones((3, 512), np.float32)
  for reduce in (reductions.largest, reductions.total):
    assert 'reduce-window' not in jax.jit(reduce).lower(x).compile().as_text()
