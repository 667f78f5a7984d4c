"""Drawing of tokens against literal arrays."""

import functools

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from trax_hourglass.generation import sampling

INF = np.inf
LOGITS = np.log(np.array([0.1, 0.4, 0.2, 0.3], np.float32))


@pytest.mark.parametrize(
  ('temperature', 'expected'),
  [
    (1.0, [-2, 0, -1, 0]),
    (2.0, [-1, 0, -0.5, 0]),
    (0.5, [-4, 0, -2, 0]),
    (0.0, [-INF, 0, -INF, 0]),
  ],
)
def test_temperature_divides(temperature, expected):
  logits = jnp.array([3.0, 5.0, 4.0, 5.0])
  np.testing.assert_array_equal(
    jax.jit(sampling.with_temperature)(logits, temperature), expected
  )


@pytest.mark.parametrize(
  ('k', 'expected'),
  [
    (1, [-INF, 5, -INF, -INF]),
    (2, [-INF, 5, -INF, 5]),
    (3, [-INF, 5, 4, 5]),
    (9, [3, 5, 4, 5]),
  ],
)
def test_top_k_keeps_k(k, expected):
  logits = jnp.array([[3.0, 5.0, 4.0, 5.0]])
  np.testing.assert_array_equal(
    jax.jit(sampling.keep_top_k)(logits, k), [expected]
  )


@pytest.mark.parametrize(
  ('p', 'kept'),
  [
    (1e-9, [1]),
    (0.39, [1]),
    (0.41, [1, 3]),
    (0.69, [1, 3]),
    (0.71, [1, 2, 3]),
    (0.91, [0, 1, 2, 3]),
    (1.0, [0, 1, 2, 3]),
  ],
)
def test_top_p_keeps_the_fewest(p, kept):
  expected = np.full(4, -INF, np.float32)
  expected[kept] = LOGITS[kept]
  np.testing.assert_array_equal(
    jax.jit(sampling.keep_top_p)(LOGITS[None], p), [expected]
  )


def test_top_p_of_1_keeps_the_least_likely():
  """Even if the sum of the others is rounded to 1."""
  logits = np.zeros((1, 1000), np.float32)
  logits[0, -1] = -40
  assert np.isfinite(sampling.keep_top_p(logits, 1.0)).all()


@pytest.mark.parametrize(
  ('options', 'probabilities'),
  [
    ({}, [0.1, 0.4, 0.2, 0.3]),
    ({'temperature': 0.5}, np.array([1, 16, 4, 9]) / 30),
    ({'temperature': 0.0}, [0, 1, 0, 0]),
    ({'temperature': 0.0, 'top_k': 2, 'top_p': 0.5}, [0, 1, 0, 0]),
    ({'top_k': 2}, [0, 4 / 7, 0, 3 / 7]),
    ({'top_p': 0.8}, [0, 4 / 9, 2 / 9, 3 / 9]),
    # Top-p keeps fewer tokens after the temperature has sharpened logits ...
    ({'temperature': 0.5, 'top_p': 0.8}, [0, 16 / 25, 0, 9 / 25]),
    # ... and after top-k.
    ({'top_k': 3, 'top_p': 0.75}, [0, 4 / 7, 0, 3 / 7]),
  ],
)
def test_adjustments_combine(options, probabilities):
  np.testing.assert_allclose(
    jax.nn.softmax(sampling.adjusted(LOGITS, **options)),
    probabilities,
    atol=1e-6,
  )


def test_draws_are_distributed_like_the_softmax():
  n = 2_000
  keys = jax.random.split(jax.random.key(0), n)
  logits = jnp.broadcast_to(LOGITS, (n, 4))
  draw = jax.jit(functools.partial(sampling.draw, top_k=3))
  for temperature, expected in (
    (1.0, [0, 4 / 9, 2 / 9, 3 / 9]),
    (0.5, np.array([0, 16, 4, 9]) / 29),
    (0.0, [0, 1, 0, 0]),
  ):
    tokens = draw(logits, keys, temperature)
    np.testing.assert_allclose(
      np.bincount(tokens, minlength=4) / n,
      expected,
      rtol=0,
      atol=4 * np.sqrt(0.25 / n),
    )


def test_first_of_equal_logits_is_the_likeliest():
  keys = jax.random.split(jax.random.key(0), 5)
  logits = jnp.broadcast_to(jnp.array([1.0, 2.0, 2.0]), (5, 3))
  for options in ({'temperature': 0.0}, {'temperature': 3.0, 'top_k': 1}):
    tokens = sampling.draw(logits, keys, **options)
    np.testing.assert_array_equal(tokens, [1] * 5)
