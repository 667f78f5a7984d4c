"""Small images, in memory and in files, for tests."""

import numpy as np
from PIL import Image


def pixels(n, height=2, width=3, seed=0):
  """Returns random pixels, uint8 `(n, height, width, 3)`."""
  rng = np.random.default_rng(seed)
  return rng.integers(256, size=(n, height, width, 3), dtype=np.uint8)


def save(path, array, mode='RGB'):
  """Writes an image, `(height, width, 3)`, and returns its path."""
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(array).convert(mode).save(path)
  return path
