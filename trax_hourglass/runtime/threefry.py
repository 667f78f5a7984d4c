"""Threefry-2x32 with 20 rounds, the function behind JAX's random keys.

On a CPU, JAX's own is a loop over whole arrays. This one is elementwise, so
that XLA fuses it with its consumers; it also runs in NumPy.

Source: doi:10.1145/2063384.2063405.
"""

import jax
import numpy as np

_ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)
_PARITY = 0x1BD11BDA


def threefry(key, counter):
  """Returns two arrays of random words for two of counters, all uint32.

  Args:
    key: Two arrays that broadcast with the counters.
    counter: Two arrays of one shape, of NumPy or JAX.
  """
  keys = key[0], key[1], key[0] ^ key[1] ^ np.uint32(_PARITY)
  x, y = counter[0] + keys[0], counter[1] + keys[1]
  for i in range(5):
    for rotation in _ROTATIONS[i % 2]:
      x = x + y
      y = (y << rotation | y >> (32 - rotation)) ^ x
    x = x + keys[(i + 1) % 3]
    y = y + (keys[(i + 2) % 3] + np.uint32(i + 1))
  return x, y


def is_key(key) -> bool:
  """Returns whether this is a raw Threefry key: two words."""
  return hasattr(key, 'dtype') and key.dtype == np.uint32 and key.shape == (2,)


def split(key, n: int):
  """Returns NumPy's `(n, 2)` keys, equal to those of `jax.random.split`.

  Args:
    key: `(2,)`, not a tracer.
    n: Number of keys.
  """
  key, low = np.asarray(key), np.arange(n, dtype=np.uint32)
  words = threefry((key[:1], key[1:]), (np.zeros_like(low), low))
  return np.stack(words, axis=-1)


traced_threefry = jax.jit(threefry)  # Traced once for each shape.
