"""Relative attention as it is written down: every pair, one after the other."""

import jax
from jax import numpy as jnp
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


def attention(q, k, v, distances=None, u=0, w=0, keep=None, dropout=0.0):
  """Returns the attention of all heads, from arrays of all pairs.

  Arguments are those of `blockwise.attention`, beside the mask of dropout.
  """
  n_q, n_k = q.shape[2], k.shape[2]
  query_step, key_step = max(n_k // n_q, 1), max(n_q // n_k, 1)
  i, j = jnp.arange(n_q)[:, None], jnp.arange(n_k)
  logits = jnp.einsum('bhid,bhjd->bhij', q + u, k)
  if distances is not None:
    n = key_step * j - query_step * i + query_step * (n_q - 1)
    r = distances[:, jnp.clip(n, 0, distances.shape[1] - 1)]
    logits += jnp.einsum('bhid,hijd->bhij', q + w, r)
  logits = logits / np.sqrt(q.shape[-1])
  visible = j // query_step <= i // key_step
  weights = jax.nn.softmax(jnp.where(visible, logits, -1e9))
  if keep is not None:
    weights = jnp.where(keep, weights / (1 - dropout), 0)
  return jnp.einsum('bhij,bhjd->bhid', weights, v)
