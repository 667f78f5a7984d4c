"""Transformer-XL's relative attention, within a level and across two.

Query and key sequences may differ in length by a whole factor, as they do when
attention shortens or upsamples. With `q` queries and `k` keys, the finer
sequence has `max(q, k)` positions, a query advances by
`query_step = max(k // q, 1)` of them and a key by `key_step = max(q // k, 1)`.
Then, for every case alike:

  distance(i, j) = key_step * j - query_step * i
  i sees j       iff  j // query_step <= i // key_step

so that the distances of visible pairs are the `max(q, k)` integers from
`-query_step * (q - 1)` to `query_step - 1`, and only those are computed.

Source: arXiv:1901.02860, Section 3.3; arXiv:2110.13711, Section 2.
"""

import functools

import jax
from jax import numpy as jnp
from trax import layers as tl
from trax.layers import base

from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.kernels import blockwise, heads, sinusoids
from trax_hourglass.kernels.cached.attention import Steps
from trax_hourglass.layers.attention.cached_relative import (
  CachedRelativeAttention,
  Kernel,
  NextDistances,
)
from trax_hourglass.layers.basic import Dense, stored
from trax_hourglass.layers.checks import check_dropout, check_heads, check_mode


def RelativeAttention(
  d_model,
  n_heads=1,
  dropout=0.0,
  mode='train',
  context_bias_layer=None,
  location_bias_layer=None,
  total_pooling=1,
  max_inference_length=2048,
):
  """Returns a layer that maps `(batch, length, d_model)` to the same shape.

  Causal multi-head self-attention whose logits depend on the content of query
  and key and on their distance. This is the signature of an attention type:
  the models call any `vanilla_attn_type` and `middle_attn_type` like this.

  Args:
    d_model: Width of the activations; even, and a multiple of `n_heads`.
    n_heads: Number of attention heads.
    dropout: Share of the attention weights dropped in training, in [0, 1).
    mode: `'train'`, `'eval'` or `'predict'`.
    context_bias_layer: Layer that pushes the bias `u` of arXiv:1901.02860,
      `(1, n_heads, 1, d_model // n_heads)`; see `RelativeBiases`.
    location_bias_layer: The same for the bias `v`. Both are shared by all
      attention of a model; a pair of their own is made where they are `None`.
    total_pooling: The total shorten factor of the activations, the unit of
      distance between two neighbours.
    max_inference_length: In mode `'predict'`, how many tokens of the whole
      model there is room for: the cache holds their `total_pooling`-th part.

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
):
  """Returns a layer that maps `(queries, memory)` to activations for queries.

  Shapes are `(batch, q, d_model)`, `(batch, k, d_model)` and
  `(batch, q, d_model)`, where `q` divides `k` (shortening) or `k` divides `q`
  (upsampling). A query sees the memory of its own group and of all earlier
  ones. Arguments and errors are those of `RelativeAttention`; `total_pooling`
  is that of the finer sequence. In mode `'predict'`, where a call may bring
  queries or memory alone, `query_step` and `key_step` are to be given.
  """
  check_mode(mode)
  check_dropout(dropout)
  check_heads(d_model, n_heads)
  check_positive(max_inference_length=max_inference_length)
  if context_bias_layer is None and location_bias_layer is None:
    context_bias_layer, location_bias_layer = RelativeBiases(d_model, n_heads)
  if context_bias_layer is None or location_bias_layer is None:
    raise UserError(
      'context_bias_layer, location_bias_layer: got only one of them, expected '
      'both or none; RelativeBiases makes a pair'
    )
  project = Dense(d_model)
  if mode != 'predict':
    distances = Distances(d_model, total_pooling)
    attention = DotProductRelativeAttention(n_heads, dropout, mode)
  else:
    unit = 1 if key_step > 1 else total_pooling
    steps = Steps(query_step, key_step, unit)
    n_keys = steps.n_keys(max_inference_length, total_pooling)
    attention = CachedRelativeAttention(n_heads, steps, n_keys)
    if steps.are_equal:
      distances = NextDistances(d_model, unit)
    else:
      distances, project = tl.Select([0], n_in=2), Kernel(d_model)
  # The order of the Dense layers and of the biases is that of the flat weights.
  return tl.Serial(  # queries, memory
    tl.Branch(
      distances,
      tl.Select([0], n_in=2),
      tl.Select([1], n_in=2),
      tl.Select([1], n_in=2),
    ),  # distances, queries, keys, values
    tl.Parallel(
      project,
      Dense(d_model),
      Dense(d_model),
      Dense(d_model),
    ),
    context_bias_layer,
    location_bias_layer,
    attention,
    Dense(d_model),
    name='RelativeCrossAttention',
  )


def RelativeBiases(d_model, n_heads):
  """Returns the two weight layers that push a model's biases `u` and `v`.

  Each pushes `(1, n_heads, 1, d_model // n_heads)`, drawn from N(0, 1e-6). `u`
  (context) is added to the queries that meet keys, `v` (location) to those
  that meet distances. Passing the same pair to several layers shares it.

  Raises:
    UserError: If `n_heads` does not divide `d_model`.
  """
  check_heads(d_model, n_heads)
  shape = (1, n_heads, 1, d_model // n_heads)
  initializer = tl.RandomNormalInitializer(1e-6)
  return tl.Weights(initializer, shape), tl.Weights(initializer, shape)


def Distances(d_model, total_pooling):
  """Returns a layer that maps (queries, memory) to vectors of distances.

  The result, `(max(q, k), d_model)`, holds a sinusoid for each distance between
  a query and a key that it sees, farthest past first. Distances count tokens
  of the whole model's input, except in upsampling, where they count vectors of
  the finer sequence: so do the published checkpoints, in nested levels too.

  Args:
    d_model: Width of the vectors, even.
    total_pooling: Total shorten factor of the finer sequence.
  """

  def distances(queries, memory):
    q, k = queries.shape[1], memory.shape[1]
    query_step, _ = blockwise.steps(q, k)
    unit = 1 if q > k else total_pooling
    first = -query_step * (q - 1)
    return _sinusoids(first, query_step, unit, d_model).astype(queries.dtype)

  return tl.Fn('Distances', distances)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _sinusoids(start, stop, unit, d_model):
  """Returns `(stop - start, d_model)`: sines, then cosines."""
  positions = jnp.arange(start, stop, dtype=jnp.float32) * unit
  return sinusoids.at(positions, d_model)


class DotProductRelativeAttention(base.Layer):
  """Maps (v, u, distances, queries, keys, values) to activations.

  Splits the heads, calls `blockwise.attention` and merges them again. A class
  because dropout needs the layer's random key.
  """

  def __init__(self, n_heads, dropout=0.0, mode='train'):
    super().__init__(n_in=6, n_out=1)
    self._n_heads = n_heads
    self._dropout = dropout if mode == 'train' else 0.0

  def forward(self, inputs):
    location_bias, context_bias, distances, *projected = inputs
    queries, keys, values = stored(projected)
    y = blockwise.attention(
      self._split(queries),
      self._split(keys),
      self._split(values),
      blockwise.Location(
        self._split(distances[None])[0], context_bias, location_bias
      ),
      dropout=self._dropout,
      rng=self.rng if self._dropout else None,
    )
    return heads.merge(y)

  def _split(self, x):
    return heads.split(x, self._n_heads)
