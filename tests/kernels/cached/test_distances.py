"""Logits by distance across levels, against distances listed one by one."""

from jax import numpy as jnp
import numpy as np
import pytest

from trax_hourglass.kernels import sinusoids
from trax_hourglass.kernels.alignment import Alignment
from trax_hourglass.kernels.cached import distances as cached_distances

BATCH, HEADS, D_MODEL, D_HEAD, N_KEYS = 2, 3, 12, 4, 11


def _random(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


KERNEL = _random(HEADS, D_MODEL, D_HEAD)


def _listed(distances):
  """Returns projected distances, `(n, heads, d_head)`, in float64."""
  frequencies = 10_000.0 ** -(np.arange(0, D_MODEL, 2) / D_MODEL)
  angles = np.asarray(distances, float)[:, None] * frequencies
  vectors = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
  return np.einsum('ns,hsd->nhd', vectors, KERNEL)


@pytest.mark.parametrize('alignment', [Alignment(1, 3), Alignment(4, 1, 5)])
def test_one_query_meets_each_key_at_its_distance(alignment, monkeypatch):
  monkeypatch.setattr(cached_distances, 'BLOCK', 4)
  located = _random(BATCH, HEADS, 1, D_HEAD, seed=1)
  query = 7
  distances = alignment.distance(query, np.arange(N_KEYS))
  expected = np.einsum('bhid,nhd->bhn', located, _listed(distances))
  found = cached_distances.one_query_logits(
    located, KERNEL, jnp.int32(query), N_KEYS, alignment
  )
  np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('alignment', [Alignment(1, 3), Alignment(4, 1, 5)])
def test_projected_distances_are_those_of_each_query(alignment):
  found = cached_distances.projected(KERNEL, alignment, N_KEYS)
  assert found.shape == (alignment.key_step, HEADS, D_HEAD, N_KEYS)
  group = 2
  keys = np.arange(alignment.n_seen(group))[-N_KEYS:]
  for phase in range(alignment.key_step):
    query = alignment.key_step * group + phase
    distances = alignment.distance(query, keys)
    np.testing.assert_allclose(
      found[phase, :, :, -len(distances) :],
      _listed(distances).transpose(1, 2, 0),
      rtol=0,
      atol=1e-5,
    )


def test_turned_vectors_meet_shifted_sinusoids():
  x = _random(5, D_MODEL)
  distances = jnp.array([0, -3, 100, 7, 1])
  table = sinusoids.table(6, 2, D_MODEL)
  found = sum(
    half @ waves
    for half, waves in zip(sinusoids.turn(x, distances), table, strict=True)
  )
  farther = sinusoids.at(distances[:, None] + 2 * jnp.arange(6), D_MODEL)
  expected = np.einsum('id,ind->in', x, farther)
  np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
