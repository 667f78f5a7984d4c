"""Relative attention as it is written down: every pair, one after the other."""

import numpy as np


def loop(q, k, v, distances, u, w):
  """Returns the attention of one head, (query, key) pair by pair."""
  n_q, n_k = len(q), len(k)
  query_step, key_step = max(n_k // n_q, 1), max(n_q // n_k, 1)
  farthest = query_step * (n_q - 1)
  out = np.zeros_like(q)
  for i in range(n_q):
    logits, visible = [], []
    for j in range(n_k):
      if j // query_step > i // key_step:
        continue
      distance = key_step * j - query_step * i
      r = distances[farthest + distance]
      logits.append(((q[i] + u) @ k[j] + (q[i] + w) @ r) / np.sqrt(len(u)))
      visible.append(v[j])
    weights = np.exp(logits - np.max(logits))
    out[i] = weights @ np.array(visible) / weights.sum()
  return out
