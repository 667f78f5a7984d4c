"""The counterparts in mode `'predict'` of the attention layers of training.

They map the queries, keys and values of one call, and keep the keys and values
of earlier calls as state.
"""

import jax
from jax import numpy as jnp
from trax import layers as tl
from trax.layers import base

from trax_hourglass.kernels import heads, sinusoids
from trax_hourglass.kernels.alignment import Alignment
from trax_hourglass.kernels.cached import attention as cached_attention
from trax_hourglass.layers.basic import Dense, float_type
from trax_hourglass.layers.checks import check_rows


class CachedAttention(base.Layer):
  """Maps (queries, keys, values), each `(n, length, d)`, to that shape.

  The state is a `cached_attention.Cache`.

  Args:
    total_pooling: Total shorten factor of the vectors.
    max_inference_length: Tokens of the whole model that there is room for.
    excludes_self: Whether a query sees its own key only if there is no other.
  """

  knows_starts = True

  def __init__(self, total_pooling, max_inference_length, excludes_self=False):
    super().__init__(n_in=3, n_out=1)
    self._alignment = Alignment(total_pooling=total_pooling)
    self._length = self._alignment.cache_length(max_inference_length)
    self._excludes_self = excludes_self

  def init_weights_and_state(self, input_signature):
    _, keys, _ = input_signature
    keys = keys.replace(shape=(1, *keys.shape))
    self.state = tuple(
      cached_attention.empty(
        keys, self._alignment, self._length, with_distances=False
      )
    )

  def _forward_abstract(self, input_signature):
    return _signature(self, queries=input_signature[0])

  def forward(self, inputs):
    queries, keys, values = (x[None] for x in inputs)
    cache = cached_attention.Cache(*self.state)
    check_rows(queries[0], cache.keys[0][0])
    call = cached_attention.Call(heads.scaled(queries), keys, values)
    y, cache = cached_attention.attend(
      cache, call, self._alignment, self._excludes_self
    )
    self.state = tuple(cache)
    return y[0]


def CachedRelativeAttention(
  d_model,
  n_heads,
  context_bias_layer,
  location_bias_layer,
  alignment,
  max_inference_length,
):
  """Returns `RelativeCrossAttention` in mode `'predict'`.

  Maps (queries, memory), each of any length in any call, to activations.
  `alignment` is that of queries and memory; all other arguments are those of
  `RelativeCrossAttention`.
  """
  length = alignment.cache_length(max_inference_length)
  return tl.Serial(  # queries, memory
    tl.Select([0, 1, 1]),  # queries, memory, memory
    Projections(d_model),  # kernel, bias, queries, keys, values
    context_bias_layer,
    location_bias_layer,  # v, u, kernel, bias, queries, keys, values
    AttendToCache(n_heads, alignment, length),
    Dense(d_model),
    name='RelativeCrossAttention',
  )


class Projections(base.Layer):
  """Maps (queries, memory, memory) to (kernel, bias, queries, keys, values).

  Owns the projections of distances, queries, keys and values, in the order of
  the flat weights. That of distances is not applied but handed on, as its
  kernel, `(d_model, d_model)`, and bias, `(d_model,)`: the cache says which
  distances a call needs.
  """

  def __init__(self, d_model):
    super().__init__(n_in=3, n_out=5)
    self._sublayers = tuple(Dense(d_model) for _ in range(4))
    self._weights = self._state = (None,) * 4

  def init_weights_and_state(self, input_signature):
    queries, keys, values = input_signature
    inits = [
      layer.init(signature, use_cache=True)
      for layer, signature in zip(
        self.sublayers, (queries, queries, keys, values), strict=True
      )
    ]
    self.weights, self.state = zip(*inits, strict=True)

  def forward(self, inputs):
    (kernel, bias), *others = self.weights
    projected = [
      layer.pure_fn(x, weights, (), self.rng)[0]
      for layer, x, weights in zip(
        self.sublayers[1:], inputs, others, strict=True
      )
    ]
    dtype = float_type(inputs[0])
    return kernel.astype(dtype), bias.astype(dtype), *projected


class AttendToCache(base.Layer):
  """Maps (v, u, kernel, bias, queries, keys, values) to activations.

  Within a level, distances are projected once and cached like keys; across two
  levels see `kernels.cached.distances`. The state is a
  `cached_attention.Cache`.

  Args:
    n_heads: Number of attention heads.
    alignment: `Alignment` of queries and keys.
    length: Number of keys that the cache has room for.
  """

  knows_starts = True

  def __init__(self, n_heads, alignment, length):
    super().__init__(n_in=7, n_out=1)
    self._n_heads = n_heads
    self._alignment = alignment
    self._length = length

  def init_weights_and_state(self, input_signature):
    *_, values = input_signature
    batch, length, d_model = values.shape
    d_head = d_model // self._n_heads
    values = values.replace(shape=(batch, self._n_heads, length, d_head))
    self.state = tuple(
      cached_attention.empty(
        values,
        self._alignment,
        self._length,
        with_distances=self._alignment.is_within_level,
      )
    )

  def _forward_abstract(self, input_signature):
    return _signature(self, queries=input_signature[4])

  def forward(self, inputs):
    location_bias, context_bias, kernel, bias, *projected = inputs
    queries, keys, values = (self._split(x) for x in projected)
    cache = cached_attention.Cache(*self.state)
    check_rows(queries, cache.keys[0])
    if self._alignment.is_within_level:
      numbers = cache.n_queries + jnp.arange(queries.shape[2])
      distances = self._alignment.distance(numbers, 0)
      vectors = sinusoids.at(distances, len(kernel)).astype(kernel.dtype)
      location = {'distances': self._split((vectors @ kernel + bias)[None])[0]}
    else:
      location = {'kernel': self._split(kernel[None])[0]}
    call = cached_attention.Call(
      heads.scaled(queries, context_bias),
      keys,
      values,
      heads.scaled(queries, location_bias),
      **location,
    )
    y, cache = cached_attention.attend(cache, call, self._alignment)
    self.state = tuple(cache)
    return heads.merge(y)

  def _split(self, x):
    return heads.split(x, self._n_heads)


def _signature(layer, queries):
  """Returns the signatures of a layer's outputs and state without a trace."""
  return queries, base.nested_map(base.signature, layer.state)


class OneByOne(base.Layer):
  """Maps `(batch, length, d)` to that shape, by `layer` one vector at a time.

  Weights and state are those of the layer, which must share none with others.
  """

  def __init__(self, layer):
    super().__init__(name='OneByOne')
    self._layer = layer

  def init_weights_and_state(self, input_signature):
    batch, _, d = input_signature.shape
    vector = input_signature.replace(shape=(batch, 1, d))
    self._layer.rng = self.rng
    self.weights, self.state = self._layer.init(vector)

  def forward(self, x):
    weights, rng = self.weights, self.rng

    def step(state, vector):
      y, new = self._layer.pure_fn(vector[:, None], weights, state, rng)
      # Trax's layer returns 64-bit counters if JAX uses 64-bit types.
      new = jax.tree.map(lambda x, old: x.astype(old.dtype), new, state)
      return new, y[:, 0]

    self.state, y = jax.lax.scan(step, self.state, x.swapaxes(0, 1))
    return y.swapaxes(0, 1)
