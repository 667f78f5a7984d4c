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
  return jnp.concatenate(_sines_and_cosines(distances, d_model), axis=-1)


def turn(x, distances):
  """Returns vectors whose products are those of `x` so much farther on.

  They come in halves, (y, z): for all t and each s of the distances,
  y . sines(t) + z . cosines(t) = x . at(s + t).

  Args:
    x: `(..., d_model)`.
    distances: `(...)`. Both broadcast, but for the last axis of `x`.
  """
  first, second = jnp.split(x, 2, axis=-1)
  # Not to be computed again for each vector that turns as far.
  sines, cosines = jax.lax.optimization_barrier(
    _sines_and_cosines(distances, x.shape[-1])
  )
  return (
    first * cosines - second * sines,
    first * sines + second * cosines,
  )


@functools.cache
def table(n, step, d_model):
  """Returns constants: sines and cosines of the distances 0, step, ...

  Each `(d_model / 2, n)`.
  """
  with jax.ensure_compile_time_eval():
    pair = _sines_and_cosines(step * jnp.arange(n), d_model)
    return tuple(np.asarray(x.T) for x in pair)


def _sines_and_cosines(distances, d_model):
  # In float32 as in the published models: at a distance of thousands the
  # rounding of the angle is part of what their weights were trained with.
  exponents = jnp.arange(0, d_model, 2, dtype=jnp.float32) / d_model
  frequencies = 1 / (10_000**exponents)
  angles = distances[..., None].astype(jnp.float32) * frequencies
  return jnp.sin(angles), jnp.cos(angles)
