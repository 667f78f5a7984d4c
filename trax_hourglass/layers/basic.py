"""Trax's layers of every Transformer, in the precision of their input.

Weights, initialisers and arguments are Trax's own, and so is the arithmetic in
float32. Activations in bfloat16, which Trax would promote to float32, remain
bfloat16; weights are kept, and norms computed, in float32.
"""

import jax
from jax import numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from trax import layers as tl
from trax import shapes

from trax_hourglass.kernels import derivatives, random_masks


class Dense(tl.Dense):
  """`tl.Dense` that multiplies one flat matrix: `(..., d_in)` to `(..., n)`.

  XLA computes the weights' gradient of flat activations at twice the speed on
  a CPU: it needs not transpose a tensor first.
  """

  def forward(self, x):
    return self._affine(x, jnp.matmul)

  def _affine(self, x, multiply):
    kernel, *bias = self.weights if self._use_bias else (self.weights,)
    y = multiply(x.reshape(-1, x.shape[-1]), kernel.astype(x.dtype))
    y = y.reshape(*x.shape[:-1], y.shape[-1])
    return y + bias[0].astype(y.dtype) if bias else y


class DenseToFloat32(Dense):
  """`Dense` that sums to float32 what it multiplies in the precision of x."""

  def forward(self, x):
    if derivatives.is_forward():
      return self._affine(x, _matmul_to_float32)
    return self._affine(x, _product_in_float32)


def _matmul_to_float32(x, kernel):
  return jnp.matmul(x, kernel, preferred_element_type=jnp.float32)


_product_in_float32 = jax.custom_vjp(_matmul_to_float32)


def _product_forward(x, kernel):
  return _matmul_to_float32(x, kernel), (x, kernel)


def _product_backward(factors, dy):
  x, kernel = factors
  dy = dy.astype(x.dtype)  # The backward products' factors, as the forward's.
  (dx,) = jax.linear_transpose(lambda x: x @ kernel, x)(dy)
  (d_kernel,) = jax.linear_transpose(lambda kernel: x @ kernel, kernel)(dy)
  return dx, d_kernel


_product_in_float32.defvjp(_product_forward, _product_backward)


class LayerNorm(tl.LayerNorm):
  """`tl.LayerNorm`: `(..., d)` to the same shape."""

  def init_weights_and_state(self, input_signature):
    signature = shapes.ShapeDtype(input_signature.shape, jnp.float32)
    super().init_weights_and_state(signature)

  def forward(self, x):
    return super().forward(x.astype(jnp.float32)).astype(x.dtype)


class Dropout(tl.Dropout):
  """`tl.Dropout`, with masks that cost less: any shape to the same shape."""

  def forward(self, x):
    if self._mode != 'train':
      return x
    rate = self._initial_rate
    if isinstance(self.state, dict):  # Trax changes the rate in training.
      rate = self.state.get(self._name, rate)
    elif not rate:
      return x
    shape = list(x.shape)
    for axis in self._shared_axes:
      shape[axis] = 1
    keep = random_masks.keep(self.rng, rate, tuple(shape))
    return jnp.where(keep, x / (1 - rate), 0).astype(x.dtype)


STORED = 'stored'


def stored(tree):
  """Returns a tree of arrays, marked as dear: not to be computed twice.

  Where layers are `Repeated`, what is marked so is stored for the backward
  pass. Norms, activations, masks and sums cost little to compute again.
  """
  return checkpoint_name(tree, STORED)


def Stored():
  """Returns a layer that maps an array to itself, see `stored`."""
  return tl.Fn('Stored', stored)


def Cast(dtype):
  """Returns a layer that maps an array to one of `dtype` and the same shape."""
  return tl.Fn(f'To{jnp.dtype(dtype).name}', lambda x: x.astype(dtype))
