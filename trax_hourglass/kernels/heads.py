"""Attention heads as an axis, and queries scaled for them."""

from jax import numpy as jnp


def split(x, n_heads):
  """Maps `(batch, length, d_model)` to `(batch, heads, length, d_head)`."""
  batch, length, d_model = x.shape
  x = x.reshape(batch, length, n_heads, d_model // n_heads)
  return x.transpose(0, 2, 1, 3)


def merge(x):
  """Maps `(batch, heads, length, d_head)` to `(batch, length, d_model)`."""
  batch, n_heads, length, d_head = x.shape
  return x.transpose(0, 2, 1, 3).reshape(batch, length, n_heads * d_head)


def scaled(queries, bias=0):
  """Returns (queries + bias) / sqrt(d_head), like queries, `(..., d_head)`."""
  x = (queries.astype(jnp.float32) + bias) / jnp.sqrt(queries.shape[-1])
  return x.astype(queries.dtype)
