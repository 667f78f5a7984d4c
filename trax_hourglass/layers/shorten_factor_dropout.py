"""Shorten factor dropout (arXiv:2110.13711, Section 4.1)."""

import jax
from jax import numpy as jnp
from trax import layers as tl
from trax.layers import base

from trax_hourglass.layers.checks import check_mode


def ShortenFactorDropout(layers, mode='train'):
  """Returns a layer that runs one of `layers`, drawn for each training step.

  Mode `'train'` draws uniformly, within the compiled step; other modes run the
  first layer. Draws follow from a key in the layer's state, not the call's: so
  devices with the same state draw alike, and a checkpoint continues the draws.

  Args:
    layers: Layers with the same inputs, outputs and weights, of which those of
      the first are used for all.
    mode: `'train'`, `'eval'` or `'predict'`.
  """
  check_mode(mode)
  return tl.Serial(
    _Draw(len(layers), mode), _OneOf(layers, mode), name='ShortenFactorDropout'
  )


class _Draw(base.Layer):
  """Pushes a number from 0 to n - 1."""

  def __init__(self, n, mode):
    super().__init__(n_in=0, n_out=1)
    self._n = n
    self._mode = mode

  def init_weights_and_state(self, input_signature):
    self.state = jax.random.split(self.rng, 1)[0]

  def forward(self, inputs):
    if self._mode != 'train':
      return jnp.zeros((), jnp.int32)
    self.state, key = jax.random.split(self.state)
    return jax.random.randint(key, (), 0, self._n)


class _OneOf(base.Layer):
  """Maps (i, x) to the outputs of the i-th layer for x."""

  def __init__(self, layers, mode):
    super().__init__(n_in=1 + layers[0].n_in, n_out=layers[0].n_out)
    self._layers = layers
    self._mode = mode
    self._sublayers = (layers[0],)  # Owns the weights and state.
    self._weights = self._state = (None,)

  def init_weights_and_state(self, input_signature):
    _, *signature = input_signature
    weights, state = self._layers[0].init(_unpack(signature), use_cache=True)
    self.weights, self.state = (weights,), (state,)
    for layer in self._layers[1:]:
      layer.rng = self.rng  # A key made within a trace would outlive it.

  def forward(self, inputs):
    i, *x = inputs
    (weights,), (state,), rng = self.weights, self.state, self.rng

    # Weights are closed over, not passed: a shared layer caches them for its
    # next use, which may be outside this function.
    def branch(layer):
      return lambda x: layer.pure_fn(
        _unpack(x), weights, state, rng, use_cache=True
      )

    branches = [branch(layer) for layer in self._layers]
    if self._mode != 'train':
      y, state = branches[0](x)
    else:
      y, state = jax.lax.switch(i, branches, x)
    self.state = (state,)
    return y


def _unpack(inputs):
  """Returns inputs as Trax passes them to a layer: a single one by itself."""
  return inputs[0] if len(inputs) == 1 else tuple(inputs)
