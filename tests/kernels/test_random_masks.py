"""Tests of random masks: their share, independence, and rows."""

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from trax_hourglass.kernels import random_masks


@pytest.mark.parametrize('rng', [jax.random.PRNGKey(0), jax.random.key(1)])
@pytest.mark.parametrize('dropout', [0.1, 0.5, 0.99])
def test_drops_the_share(dropout, rng):
  mask = np.asarray(random_masks.keep(rng, dropout, (30, 40, 301)))
  for n, kept in (
    (mask.size, mask.mean()),
    (30 * 40, mask.mean(axis=(0, 1))),
    (301, mask.mean(axis=2)),
  ):
    error = 6 * np.sqrt(dropout * (1 - dropout) / n)
    assert np.abs(kept - (1 - dropout)).max() < error


def test_drops_nothing_without_dropout():
  assert random_masks.keep(jax.random.PRNGKey(0), 0.0, (500, 500)).all()


def test_elements_are_independent():
  mask = np.asarray(random_masks.keep(jax.random.PRNGKey(0), 0.5, (400, 401)))
  signs = 2.0 * mask - 1
  rows = signs @ signs.T / 401
  columns = signs.T @ signs / 400
  for correlation in (rows, columns):
    np.fill_diagonal(correlation, 0)
    assert np.abs(correlation).max() < 6 / np.sqrt(400)


def test_neighbours_are_independent():
  mask = np.asarray(random_masks.keep(jax.random.PRNGKey(0), 0.5, (2000, 501)))
  signs = 2.0 * mask - 1
  for lag in range(1, 33):
    for later, earlier in (
      (signs[:, lag:], signs[:, :-lag]),
      (signs[lag:], signs[:-lag]),
      (signs[lag:, lag:], signs[:-lag, :-lag]),
    ):
      assert abs(np.mean(later * earlier)) < 5 / np.sqrt(later.size)


def test_keys_have_masks_of_their_own():
  keys = jax.random.split(jax.random.PRNGKey(0), 200)
  masks = jax.vmap(lambda key: random_masks.keep(key, 0.5, (3, 400)))(keys)
  signs = 2.0 * np.asarray(masks).reshape(200, -1) - 1
  correlation = signs @ signs.T / 1200
  np.fill_diagonal(correlation, 0)
  assert np.abs(correlation).max() < 6 / np.sqrt(1200)


def test_a_row_has_its_mask_wherever_it_is():
  key = jnp.array([1, 2], jnp.uint32)
  row = jnp.arange(8, dtype=jnp.uint32)[:, None]
  whole = random_masks.keep_rows(key, row, 0.5, 9)
  np.testing.assert_array_equal(
    whole[5:], random_masks.keep_rows(key, row[5:], 0.5, 9)
  )
