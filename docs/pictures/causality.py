"""Draws which inputs reach which outputs of a valley, with two shifts."""

import pathlib

import jax
from jax import numpy as jnp
import matplotlib

matplotlib.use('Agg')

from matplotlib import pyplot as plt
from trax import layers as tl
from trax import shapes

from trax_hourglass import AveragePooling, NaiveUpsampling

LENGTH, K, D_MODEL = 12, 3, 8


def reaches(shift):
  """Returns `(LENGTH, LENGTH)`: whether output i moves with input j."""
  valley = tl.Residual(
    tl.ShiftRight(shift),
    AveragePooling(K),
    tl.CausalAttention(D_MODEL, n_heads=2, mode='eval'),
    NaiveUpsampling(K),
  )
  x = jax.random.normal(jax.random.key(0), (1, LENGTH, D_MODEL))
  valley.init(shapes.signature(x))
  moved = [valley(x.at[0, j].add(1)) != valley(x) for j in range(LENGTH)]
  return jnp.stack([jnp.any(m[0], -1) for m in moved], axis=1)


def main():
  figure, panels = plt.subplots(1, 2, figsize=(8, 4.2), layout='constrained')
  for panel, shift in zip(panels, (K - 1, K - 2), strict=True):
    seen = reaches(shift)
    ahead = jnp.triu(seen, 1)
    panel.imshow(seen + 1.0 * ahead, cmap='Blues', vmin=0, vmax=2)
    panel.set_title(
      f'shift by {shift}: {"a leak" if ahead.any() else "causal"}'
    )
    panel.set_xlabel('input')
    panel.set_ylabel('output')
    panel.set_xticks(range(0, LENGTH, K))
    panel.set_yticks(range(0, LENGTH, K))
  figure.savefig(pathlib.Path(__file__).with_suffix('.png'), dpi=100)


if __name__ == '__main__':
  main()
