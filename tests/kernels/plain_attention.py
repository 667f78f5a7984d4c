"""Relative attention as a plain loop over pairs."""

import numpy as np

from trax_hourglass.kernels.alignment import align


def loop(q, k, v, distances, u, w):
  """Returns the attention of one head, (query, key) pair by pair."""
  alignment = align(len(q), len(k))
  out = np.zeros_like(q)
  for i in range(len(q)):
    logits, visible = [], []
    for j in range(len(k)):
      if alignment.sees(i, j):
        r = distances[alignment.index(i, j, len(q))]
        logits.append(((q[i] + u) @ k[j] + (q[i] + w) @ r) / np.sqrt(len(u)))
        visible.append(v[j])
    weights = np.exp(logits - np.max(logits))
    out[i] = weights @ np.array(visible) / weights.sum()
  return out
