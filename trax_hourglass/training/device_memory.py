"""Memory that each device needs for a training step.

XLA states it for the training loop's program: it is compiled, but nothing is
allocated, and nothing runs.
"""

import math

import jax
from jax.sharding import NamedSharding
import numpy as np
from trax import layers as tl
from trax import shapes

from trax_hourglass.distribution import devices
from trax_hourglass.training import accumulation, updates
from trax_hourglass.training.optimizers import Optax


def measure(
  model, optimizer, batch_size: int, length: int, device_batch_size=None
) -> dict[str, int]:
  """Returns the bytes on each device, by their use.

  Args:
    model: Trax layer in mode 'train', from tokens, or tokens and segments, to
      logits.
    optimizer: A `trax.optimizers.Optimizer`.
    batch_size: Sequences in a batch, over all devices.
    length: Tokens in a sequence.
    device_batch_size: As for `training.options.options`.

  Raises:
    UserError: If the batch does not split.
  """
  n_parts = accumulation.n_parts(
    batch_size, jax.device_count(), device_batch_size
  )
  tokens = np.zeros((batch_size, length), np.int32)
  inputs = [tokens] * model.n_in
  batch = *inputs, tokens, tokens.astype(np.float32)
  model, lm = tl.Serial(model, tl.WeightedCategoryCrossEntropy()), model
  _ = model.rng  # Made when first read: not within a trace.
  weights, state = model.weights_and_state_signature(shapes.signature(batch))
  if isinstance(optimizer, Optax):
    lm.weights, _ = weights
    optimizer.name_weights(lm)
  slots, opt_params = jax.eval_shape(
    optimizer.tree_init, *_arrays_like((weights,), devices.REPLICATED)
  )
  forward_and_backward = jax.value_and_grad(
    model.pure_fn, argnums=1, has_aux=True
  )
  if n_parts > 1:
    forward_and_backward = accumulation.accumulate(
      forward_and_backward, n_parts, len(inputs) + 1, devices.AXIS
    )
  update = updates.compiled_update(forward_and_backward, optimizer)
  whole = (weights, slots), np.int32(0), opt_params, np.zeros(2, np.uint32)
  arguments = (
    *_arrays_like((*whole, state), devices.REPLICATED),
    _arrays_like(batch, devices.SHARDED),
  )
  memory = update.lower(*arguments).compile().memory_analysis()
  return {
    'weights': _size(weights),
    'slots': _size(slots),
    'temporaries': memory.temp_size_in_bytes,
    'total': memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    - memory.alias_size_in_bytes  # Outputs in donated buffers.
    + memory.temp_size_in_bytes,
  }


def _arrays_like(tree, spec):
  """Returns a tree of descriptions of arrays that are spread over devices."""
  sharding = NamedSharding(devices.mesh(), spec)
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(
      np.shape(x), jax.dtypes.canonicalize_dtype(x.dtype), sharding=sharding
    ),
    tree,
  )


def _size(tree):
  return sum(
    math.prod(x.shape) * np.dtype(x.dtype).itemsize
    for x in jax.tree.leaves(tree)
  )
