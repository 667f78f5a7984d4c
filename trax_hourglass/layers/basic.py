"""The elementary layers of a Transformer, in the precision of their input.

Weights, initialisers, arguments and the arithmetic in float32 are Trax's own.
Activations in bfloat16, which Trax would promote to float32, stay in bfloat16;
weights are kept, and norms computed, in float32.
"""

from collections.abc import Iterator
import contextlib

from jax import numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from trax import layers as tl
from trax import shapes
from trax.layers.assert_shape import assert_shape

from trax_hourglass.kernels import derivatives, documents, random_masks
from trax_hourglass.runtime import importing


def float_type(x):
  """Returns the type to compute in: that of floats, float32 for integers.

  For NumPy's float64 it is that to which JAX converts them.
  """
  return jnp.result_type(x, float)


class Dense(tl.Dense):
  """`tl.Dense` of flattened activations: `(..., d_in)` to `(..., n)`.

  On a CPU this doubles the speed of the kernel's gradient, for which XLA would
  otherwise transpose a tensor.
  """

  def forward(self, x):
    x = jnp.asarray(x, float_type(x))
    return self._affine(x, x.dtype)

  def _affine(self, x, dtype):
    kernel, *bias = self.weights if self._use_bias else (self.weights,)
    y = derivatives.matmul(
      x.reshape(-1, x.shape[-1]), kernel.astype(x.dtype), dtype
    )
    y = y.reshape(*x.shape[:-1], y.shape[-1])
    return y + bias[0].astype(y.dtype) if bias else y


class DenseToFloat32(Dense):
  """`Dense` in the precision of its input, with outputs in float32."""

  def forward(self, x):
    return self._affine(x, jnp.float32)


class LayerNorm(tl.LayerNorm):
  """`tl.LayerNorm`: `(..., d)` to the same shape."""

  def init_weights_and_state(self, input_signature):
    signature = shapes.ShapeDtype(input_signature.shape, jnp.float32)
    super().init_weights_and_state(signature)

  def forward(self, x):
    return super().forward(x.astype(jnp.float32)).astype(float_type(x))


class Dropout(tl.Dropout):
  """`tl.Dropout` with cheaper masks: any shape to the same shape."""

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


with importing.cheap_stack():
  # As around Trax's layer: weights and state have the same nesting with it.
  _asserted = assert_shape('...d->...d')


@_asserted
def ShiftRight(n=1, total_pooling=1):
  """Returns `tl.ShiftRight(n)` of each document of a sequence.

  `total_pooling` is the total shorten factor of the vectors.
  """
  return tl.Fn(
    f'ShiftRight({n})',
    lambda x: documents.shift_right(x, n, total_pooling),
  )


STORED = 'stored'


def stored(tree):
  """Marks a tree of arrays that `Repeated` layers store for the backward pass.

  Norms, activations, masks and sums, which cost little, are computed again.
  """
  return checkpoint_name(tree, STORED)


def Stored():
  """Returns a layer that maps an array to itself, `stored`."""
  return tl.Fn('Stored', stored)


def layers_of(layer, kind):
  """Yields the layers of a class, or of several, in a layer at any depth."""
  if isinstance(layer, kind):
    yield layer
  for sublayer in layer.sublayers:
    yield from layers_of(sublayer, kind)


@contextlib.contextmanager
def restored_on_error(layer) -> Iterator[None]:
  """Restores a layer's weights, state and random key if the body raises.

  A layer whose trace fails would keep the tracers that it was given.
  """
  before = layer.weights, layer.state, layer.rng
  try:
    yield
  except BaseException:
    layer.weights, layer.state, layer.rng = before
    raise


class RestoredSerial(tl.Serial):
  """`tl.Serial` that keeps its weights and state when a call raises.

  In mode `'predict'` a layer may refuse a call after an earlier one has counted
  its vectors; and a call that fails while it is compiled would leave tracers.
  """

  # Not `forward`, before which Trax has set the weights and state of the call.
  def pure_fn(self, x, weights, state, rng, use_cache=False):
    with restored_on_error(self):
      return super().pure_fn(x, weights, state, rng, use_cache)


def Cast(dtype):
  """Returns a layer that maps an array to one of `dtype` and the same shape."""
  return tl.Fn(f'To{jnp.dtype(dtype).name}', lambda x: x.astype(dtype))
