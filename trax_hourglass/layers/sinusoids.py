"""Sinusoids of distances, and products with them that need no list of them.

A sinusoid holds sines, then cosines, of its distance times `d_model / 2`
frequencies. That of a sum of distances is that of one turned by the other, so a
vector's products with many in a row are those of the vector, turned once, with
the first few of all.

Source: arXiv:1901.02860, Section 3.3; `turn` as in arXiv:2104.09864.
"""

import functools

import jax
from jax import numpy as jnp
import numpy as np


def at(distances, d_model):
  """Returns `(..., d_model)` for distances, `(...)`."""
  # In float32 as in the published models: at a distance of thousands the
  # rounding of the angle is part of what their weights were trained with.
  frequencies = 1 / (10_000 ** (jnp.arange(0.0, d_model, 2.0) / d_model))
  angles = distances[..., None] * frequencies
  return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def turn(x, distances):
  """Returns vectors whose products are those of `x` so much farther on.

  For all t: turn(x, s) . at(t) = x . at(s + t).

  Args:
    x: `(..., d_model)`.
    distances: s, `(...)`. Both broadcast, but for the last axis of `x`.
  """
  first, second = jnp.split(x, 2, axis=-1)
  # Not to be computed again for each vector that turns as far.
  turning = jax.lax.optimization_barrier(at(distances, x.shape[-1]))
  sin, cos = jnp.split(turning, 2, axis=-1)
  turned = first * cos - second * sin, first * sin + second * cos
  return jnp.concatenate(turned, axis=-1)


@functools.cache
def table(n, step, d_model):
  """Returns `(d_model, n)`: the distances 0, step, ..., a constant."""
  with jax.ensure_compile_time_eval():
    distances = step * jnp.arange(n, dtype=jnp.float32)
    return np.asarray(at(distances, d_model).T)
