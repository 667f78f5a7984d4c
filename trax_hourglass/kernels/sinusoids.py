"""Sinusoids of distances, and vectors rotated by their positions.

A sinusoid holds sines, then cosines, of its distance times `d / 2` frequencies.

Source: arXiv:1901.02860, Section 3.3; arXiv:2104.09864, Section 3.2.
"""

import functools

import jax
from jax import numpy as jnp
import numpy as np


def at(distances, d_model):
  """Returns the sinusoids of distances, `(...)`, as `(..., d_model)`."""
  return jnp.concatenate(_sines_and_cosines(distances, d_model), axis=-1)


def turn(x, distances):
  """Returns vectors whose products with sinusoids are shifted by distances.

  They are halves, (y, z), such that y . sines(t) + z . cosines(t) =
  x . at(s + t) for each distance s and all t. So a vector's products with a
  long row of sinusoids are those of few turned vectors with the first of them.

  Args:
    x: `(..., d_model)`.
    distances: `(...)`, which broadcasts to the shape of `x` but its last axis.
  """
  first, second = jnp.split(x, 2, axis=-1)
  # Computed once, not for each vector that turns by the same distance.
  sines, cosines = jax.lax.optimization_barrier(
    _sines_and_cosines(distances, x.shape[-1])
  )
  return (
    first * cosines - second * sines,
    first * sines + second * cosines,
  )


@functools.cache
def table(n, step, d_model):
  """Returns constant sines and cosines, `(d_model / 2, n)`, of n distances.

  The distances are 0, step, 2 * step, ...
  """
  with jax.ensure_compile_time_eval():
    pair = _sines_and_cosines(step * jnp.arange(n), d_model)
    return tuple(np.asarray(x.T) for x in pair)


def rotate(x, start=0):
  """Returns vectors, like `x`, each rotated by its position.

  Components i and i + d/2, as a pair, rotate by position / 10,000^(2i/d).

  Args:
    x: `(..., length, d)`.
    start: The position of the first vector, a number; or of the first one of
      each sequence, `(..., 1)`; or what to add to the position of each vector,
      `(..., length)`.
  """
  length, d = x.shape[-2:]
  sin, cos = _sines_and_cosines(start + jnp.arange(length), d)
  first, second = jnp.split(x, 2, axis=-1)
  rotated = first * cos - second * sin, second * cos + first * sin
  return jnp.concatenate(rotated, axis=-1).astype(x.dtype)


def _sines_and_cosines(distances, d_model):
  # In float32, as in the published models: their weights were trained with the
  # rounding of angles at distances of thousands.
  exponents = jnp.arange(0, d_model, 2, dtype=jnp.float32) / d_model
  frequencies = 1 / (10_000**exponents)
  angles = distances[..., None].astype(jnp.float32) * frequencies
  return jnp.sin(angles), jnp.cos(angles)
