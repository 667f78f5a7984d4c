"""Transformer-XL's relative attention, within a level and across two.

`relative_attention` is the formula, written out. The layers compute the same,
without an array of queries x keys for the whole sequence: in training and
evaluation by `kernels.fused`, in mode `'predict'` by
`kernels.cached.attention`. `kernels.alignment` defines which keys a query sees,
and at which distances.

Source: arXiv:1901.02860, Section 3.3; arXiv:2110.13711, Section 2.
"""

import functools

import jax
from jax import numpy as jnp
from trax import layers as tl
from trax.layers import base

from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.kernels import blockwise, documents, fused, heads, sinusoids
from trax_hourglass.kernels.alignment import Alignment, align
from trax_hourglass.layers.attention.cached import CachedRelativeAttention
from trax_hourglass.layers.basic import Dense, float_type, stored
from trax_hourglass.layers.checks import (
  check_dropout,
  check_heads,
  check_implementation,
  check_mode,
)


def relative_attention(
  queries, keys, values, distances, context_bias, location_bias, kept=1
):
  """Returns relative attention by its formula, for tests and readers.

    softmax(((Q + u) K^T + (Q + v) R^T) / sqrt(d_head)) V

  over the keys that each query sees, where R is the projected sinusoid of each
  pair's distance.

  Args:
    queries: Q, `(batch, heads, q, d_head)`.
    keys: K, `(batch, heads, k, d_head)`.
    values: V, like `keys`.
    distances: Rows of R, `(heads, max(q, k), d_head)`, for
      `Alignment.distances`.
    context_bias: u, `(1, heads, 1, d_head)`.
    location_bias: v, `(1, heads, 1, d_head)`.
    kept: Factors of the attention weights, such as a dropout mask.
  """
  n_queries, n_keys = queries.shape[2], keys.shape[2]
  alignment = align(n_queries, n_keys)
  i, j = jnp.arange(n_queries)[:, None], jnp.arange(n_keys)
  # (heads, q, k, d_head); pairs that are not visible have no distance.
  r = jnp.take(distances, alignment.index(i, j, n_queries), 1, mode='clip')
  logits = jnp.einsum('bhid,bhjd->bhij', queries + context_bias, keys)
  logits += jnp.einsum('bhid,hijd->bhij', queries + location_bias, r)
  logits /= jnp.sqrt(queries.shape[-1])
  weights = jax.nn.softmax(jnp.where(alignment.sees(i, j), logits, -jnp.inf))
  return jnp.einsum('bhij,bhjd->bhid', kept * weights, values)


def RelativeAttention(
  d_model,
  n_heads=1,
  dropout=0.0,
  mode='train',
  context_bias_layer=None,
  location_bias_layer=None,
  total_pooling=1,
  max_inference_length=2048,
  implementation='blockwise',
):
  """Returns a layer that maps `(batch, length, d_model)` to the same shape.

  Causal multi-head self-attention whose logits depend on the content of query
  and key and on their distance. Any attention type has this signature, but for
  `implementation`.

  Args:
    d_model: Width of the activations; even, and a multiple of `n_heads`.
    n_heads: Number of attention heads.
    dropout: Share of the attention weights dropped in training, in [0, 1).
    mode: `'train'`, `'eval'` or `'predict'`.
    context_bias_layer: Layer that pushes the bias `u` of arXiv:1901.02860; see
      `RelativeBiases`.
    location_bias_layer: Layer that pushes the bias `v`. All attention of a
      model shares both; where they are `None`, the layer has its own pair.
    total_pooling: Total shorten factor of the activations, the distance of two
      neighbours.
    max_inference_length: Tokens of the whole model that mode `'predict'` makes
      room for, `total_pooling` of them in a cached vector.
    implementation: What computes attention in training and evaluation:
      `'blockwise'`, `'cudnn'` or `'auto'`; see `kernels.fused.attention`.

  Raises:
    UserError: If an argument is out of its range, or only one bias is given.

  Source: arXiv:1901.02860, Section 3.3, whose R is our `distances`.
  """
  return tl.Serial(
    tl.Dup(),
    RelativeCrossAttention(
      d_model,
      n_heads=n_heads,
      dropout=dropout,
      mode=mode,
      context_bias_layer=context_bias_layer,
      location_bias_layer=location_bias_layer,
      total_pooling=total_pooling,
      max_inference_length=max_inference_length,
      implementation=implementation,
    ),
    name='RelativeAttention',
  )


def RelativeCrossAttention(
  d_model,
  n_heads=1,
  dropout=0.0,
  mode='train',
  context_bias_layer=None,
  location_bias_layer=None,
  total_pooling=1,
  max_inference_length=2048,
  query_step=1,
  key_step=1,
  implementation='blockwise',
):
  """Returns a layer that maps (queries, memory) to activations for queries.

  Shapes are `(batch, q, d_model)`, `(batch, k, d_model)` and
  `(batch, q, d_model)`, where `q` divides `k` (shortening) or `k` divides `q`
  (upsampling). A query sees the memory of its own group and of all earlier
  ones. Arguments and errors are those of `RelativeAttention`; `total_pooling`
  is that of the finer sequence. Mode `'predict'` needs `query_step` and
  `key_step`, see `Alignment`, as a call may have queries or memory alone.
  """
  check_mode(mode)
  check_dropout(dropout)
  check_heads(d_model, n_heads)
  check_positive(
    total_pooling=total_pooling, max_inference_length=max_inference_length
  )
  check_implementation(implementation)
  if context_bias_layer is None and location_bias_layer is None:
    context_bias_layer, location_bias_layer = RelativeBiases(d_model, n_heads)
  if context_bias_layer is None or location_bias_layer is None:
    raise UserError(
      'context_bias_layer, location_bias_layer: got only one of them, expected '
      'both or none; RelativeBiases makes a pair'
    )
  if mode == 'predict':
    return CachedRelativeAttention(
      d_model,
      n_heads,
      context_bias_layer,
      location_bias_layer,
      Alignment(query_step, key_step, total_pooling),
      max_inference_length,
    )
  # The order of projections and biases is that of the flat weights.
  return tl.Serial(  # queries, memory
    Distances(d_model, total_pooling),  # distances, queries, memory, memory
    tl.Parallel(*(Dense(d_model) for _ in range(4))),
    # distances, queries, keys, values
    context_bias_layer,
    location_bias_layer,  # v, u, distances, queries, keys, values
    DotProductRelativeAttention(
      n_heads, dropout, mode, implementation, total_pooling
    ),
    Dense(d_model),
    name='RelativeCrossAttention',
  )


def RelativeBiases(d_model, n_heads):
  """Returns the two layers that push a model's biases `u` and `v`.

  Each pushes a weight, `(1, n_heads, 1, d_model // n_heads)`, drawn from
  N(0, 1e-6): `u` (context) is added to the queries that meet keys, `v`
  (location) to those that meet distances. Layers given one pair share it.

  Raises:
    UserError: If `n_heads` does not divide `d_model`.
  """
  check_heads(d_model, n_heads)
  shape = (1, n_heads, 1, d_model // n_heads)
  initializer = tl.RandomNormalInitializer(1e-6)
  return tl.Weights(initializer, shape), tl.Weights(initializer, shape)


def Distances(d_model, total_pooling):
  """Maps (queries, memory) to (distances, queries, memory, memory).

  Distances, `(max(q, k), d_model)`, are sinusoids of `Alignment.distances`.
  """

  def distances(queries, memory):
    alignment = align(queries.shape[1], memory.shape[1], total_pooling)
    vectors = _sinusoids(alignment, queries.shape[1], d_model)
    return vectors.astype(float_type(queries)), queries, memory, memory

  return tl.Fn('Distances', distances, n_out=4)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _sinusoids(alignment, n_queries, d_model):
  return sinusoids.at(alignment.distances(n_queries), d_model)


class DotProductRelativeAttention(base.Layer):
  """Maps (v, u, distances, queries, keys, values) to activations."""

  def __init__(
    self,
    n_heads,
    dropout=0.0,
    mode='train',
    implementation='blockwise',
    total_pooling=1,
  ):
    super().__init__(n_in=6, n_out=1)
    self._implementation = implementation
    self._n_heads = n_heads
    self._total_pooling = total_pooling
    self._dropout = dropout if mode == 'train' else 0.0

  def forward(self, inputs):
    location_bias, context_bias, distances, *projected = inputs
    queries, keys, values = stored(projected)
    batch, n_queries, _ = queries.shape
    lengths = n_queries, keys.shape[1]
    alignment = align(*lengths, self._total_pooling)
    first = documents.first_vectors(
      alignment.tokens_per_row, (batch, self._n_heads, min(lengths))
    )
    y = fused.attention(
      self._split(queries),
      self._split(keys),
      self._split(values),
      blockwise.Location(
        self._split(distances[None])[0], context_bias, location_bias
      ),
      dropout=self._dropout,
      rng=self.rng if self._dropout else None,
      implementation=self._implementation,
      first=first,
    )
    return heads.merge(y)

  def _split(self, x):
    return heads.split(x, self._n_heads)
