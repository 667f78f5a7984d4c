"""The layers of relative attention that differ in mode `'predict'`.

Within a level a layer keeps distances, projected once, beside keys and values.
Across two levels it keeps none, see `cached_distances`.
"""

from jax import numpy as jnp
from trax.layers import base

from trax_hourglass.kernels import heads, sinusoids
from trax_hourglass.kernels.cached import attention as cached_attention
from trax_hourglass.layers.basic import Dense


class NextDistances(base.Layer):
  """Distances of the new queries to keys of which no earlier query knew.

  Maps (queries, memory) to `(q, d_model)`, nearest first, in the sinusoids of
  training. The state is the number of queries so far.

  Args:
    d_model: Width of the vectors, even.
    unit: The distance of two neighbours.
  """

  def __init__(self, d_model, unit):
    super().__init__(n_in=2, n_out=1)
    self._d_model = d_model
    self._unit = unit

  def init_weights_and_state(self, input_signature):
    self.state = jnp.zeros((), jnp.int32)

  def forward(self, inputs):
    queries, _ = inputs
    n = queries.shape[1]
    distances = -self._unit * (self.state + jnp.arange(n))
    self.state += n
    return sinusoids.at(distances, self._d_model).astype(queries.dtype)


class Kernel(Dense):
  """`Dense` that maps x, `(..., d)`, to what it would multiply it by, `(d, n)`.

  In the precision of x, and without the bias.
  """

  def forward(self, x):
    kernel = self.weights[0] if self._use_bias else self.weights
    return kernel.astype(x.dtype)


class CachedRelativeAttention(base.Layer):
  """Maps (v, u, distances, queries, keys, values) to activations.

  Across two levels the kernel of distances stands in place of distances. The
  state is a `cached_attention.Cache`.

  Args:
    n_heads: Number of attention heads.
    steps: `cached_attention.Steps`.
    length: How many keys there is room for.
  """

  def __init__(self, n_heads, steps, length):
    super().__init__(n_in=6, n_out=1)
    self._n_heads = n_heads
    self._steps = steps
    self._length = length

  def init_weights_and_state(self, input_signature):
    *_, values = input_signature
    batch, length, d_model = values.shape
    d_head = d_model // self._n_heads
    values = values.replace(shape=(batch, self._n_heads, length, d_head))
    self.state = tuple(
      cached_attention.empty(
        values,
        self._steps,
        self._length,
        with_distances=self._steps.are_equal,
      )
    )

  def forward(self, inputs):
    location_bias, context_bias, distances, *projected = inputs
    queries, keys, values, distances = (
      heads.split(x, self._n_heads) for x in (*projected, distances[None])
    )
    kind = 'distances' if self._steps.are_equal else 'kernel'
    call = cached_attention.Call(
      heads.scaled(queries, context_bias),
      keys,
      values,
      heads.scaled(queries, location_bias),
      **{kind: distances[0]},
    )
    cache = cached_attention.Cache(*self.state)
    y, cache = cached_attention.attend(cache, call, self._steps)
    self.state = tuple(cache)
    return heads.merge(y)
