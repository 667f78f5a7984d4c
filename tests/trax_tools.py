"""Signatures, weights and jitted calls for tests of layers and models."""

import jax
import numpy as np
from trax import layers as tl
from trax import shapes


class Jitted:
  """A layer in mode 'eval' as a jitted function of its flat weights.

  Trax takes seconds to trace a model's initialisation, so that is done once,
  and nothing is allocated.

  Attributes:
    shapes: Of the flat weights.
  """

  def __init__(self, layer, *input_signatures):
    input_signature = (
      input_signatures if len(input_signatures) > 1 else input_signatures[0]
    )
    signature = layer.weights_and_state_signature(input_signature)
    flat_weights, flat_state = tl.flatten_weights_and_state(*signature)
    self.shapes = [s.shape for s in flat_weights]
    # The only state in this mode, that of dropout, is unused.
    flat_state = [np.zeros(s.shape, s.dtype) for s in flat_state]
    rng = jax.random.PRNGKey(0)
    _ = layer.rng  # Made when first read: not within a trace.

    def apply(flat_weights, inputs):
      weights, state = tl.unflatten_weights_and_state(
        flat_weights, flat_state, signature
      )
      return layer.pure_fn(inputs, weights, state, rng)[0]

    self._apply = jax.jit(apply)
    self._each = jax.jit(
      lambda flat_weights, batch: jax.lax.map(
        lambda x: apply(flat_weights, x[None])[0], batch
      )
    )

  def __call__(self, flat_weights, *inputs):
    return self._apply(flat_weights, inputs if len(inputs) > 1 else inputs[0])

  def each(self, flat_weights, batch):
    """Applies the layer to one sequence after the other.

    So that what is equal is rounded alike: XLA may round the last rows of a
    batch in another way than the first.
    """
    return self._each(flat_weights, batch)

  def random_weights(self, seed=0):
    """Returns random flat weights, for biases and norms too.

    Small enough that no softmax saturates: all of a layer stays in play.
    """
    rng = np.random.default_rng(seed)
    return [
      rng.normal(scale=0.3, size=shape).astype(np.float32)
      for shape in self.shapes
    ]


def tokens_signature(length, batch=1):
  return shapes.ShapeDtype((batch, length), np.int32)


def activations_signature(length, d_model, batch=1):
  return shapes.ShapeDtype((batch, length, d_model), np.float32)


def cross_entropy(logits, targets, weights):
  """Returns the weighted mean, in nats."""
  log_probs = jax.nn.log_softmax(logits)
  nats = -jax.numpy.take_along_axis(log_probs, targets[..., None], -1)[..., 0]
  return (nats * weights).sum() / weights.sum()
