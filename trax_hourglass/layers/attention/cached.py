"""The layers that attend in mode `'predict'`, in place of those of training.

The queries, keys and values they map are those of one call; what earlier calls
brought is in their state.
"""

import jax
from jax import numpy as jnp
from trax.layers import base

from trax_hourglass.errors import UserError
from trax_hourglass.kernels import heads
from trax_hourglass.kernels.cached import attention as cached_attention


class CachedAttention(base.Layer):
  """Maps (queries, keys, values), each `(n, length, d)`, to that shape.

  The state is a `cached_attention.Cache`.

  Args:
    length: How many keys there is room for.
    excludes_self: Whether a query sees its own key only if there is no other.
  """

  def __init__(self, length, excludes_self=False):
    super().__init__(n_in=3, n_out=1)
    self._length = length
    self._excludes_self = excludes_self

  def init_weights_and_state(self, input_signature):
    _, keys, _ = input_signature
    keys = keys.replace(shape=(1, *keys.shape))
    self.state = tuple(
      cached_attention.empty(
        keys, cached_attention.Steps(), self._length, with_distances=False
      )
    )

  def forward(self, inputs):
    queries, keys, values = (x[None] for x in inputs)
    call = cached_attention.Call(heads.scaled(queries), keys, values)
    y, cache = cached_attention.attend(
      cached_attention.Cache(*self.state),
      call,
      cached_attention.Steps(),
      self._excludes_self,
    )
    self.state = tuple(cache)
    return y[0]


class OneByOne(base.Layer):
  """Maps `(batch, length, d)` to that shape: a vector at a time, by `layer`.

  Weights and state are those of the layer, which shares none with others.
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
      y, state = self._layer.pure_fn(vector[:, None], weights, state, rng)
      return state, y[:, 0]

    self.state, y = jax.lax.scan(step, self.state, x.swapaxes(0, 1))
    return y.swapaxes(0, 1)


class Limit(base.Layer):
  """Maps (y, x) to y, `(batch, length, d)`, where calls have room for `n`.

  Every output of a call that goes beyond is NaN: attention types whose cache is
  full would go on without a word, and give the call's first vectors, which
  there is room for, other keys than theirs.
  """

  def __init__(self, n):
    super().__init__(n_in=2, n_out=1)
    self._n = n

  @property
  def n(self):
    return self._n

  def init_weights_and_state(self, input_signature):
    self.state = jnp.zeros((), jnp.int32)

  def forward(self, inputs):
    y, _ = inputs
    length = y.shape[1]
    if length > self._n:
      raise UserError(
        f"mode 'predict': got {length} vectors in one call, expected at most "
        f'{self._n}; raise max_inference_length'
      )
    self.state += length
    return jnp.where(self.state <= self._n, y, jnp.nan).astype(y.dtype)
