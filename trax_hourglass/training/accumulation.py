"""Gradient accumulation, for batches that do not fit on the devices."""

import jax
from jax import numpy as jnp

from trax_hourglass.data import streams
from trax_hourglass.errors import UserError, check_positive


def n_parts(batch_size, n_devices=1, device_batch_size=None) -> int:
  """Returns the number of parts into which each device splits its share.

  Args:
    batch_size: Sequences in a batch, over all devices.
    n_devices: Number of devices.
    device_batch_size: Sequences in a part; all of the share by default.

  Raises:
    UserError: If the batch, or a device's share of it, cannot be split evenly.
  """
  streams.check_shares('batch_size', batch_size, n_devices)
  share = batch_size // n_devices
  if device_batch_size is None:
    return 1
  check_positive(device_batch_size=device_batch_size)
  if share <= device_batch_size:
    return 1
  if share % device_batch_size:
    divisors = [n for n in range(1, share + 1) if share % n == 0]
    raise UserError(
      f'device_batch_size: got {device_batch_size}, expected a divisor of the '
      f'{share} sequences that each of {n_devices} devices has of a batch of '
      f'{batch_size}: one of {", ".join(map(str, divisors))}'
    )
  return share // device_batch_size


def accumulate(
  forward_and_backward, n_parts, loss_weights_index=None, axis_name=None
):
  """Returns `forward_and_backward` for a batch split into parts.

  Loss and gradients are those of the whole batch: parts are weighted by the
  loss weights in them. Each part has its own random key for dropout, but all
  start from the same state, so that a random choice kept there holds for the
  whole step.

  Args:
    forward_and_backward: Function from (batch, weights, state, rng) to ((loss,
      state), gradients), where the loss is a mean by the loss weights.
    n_parts: Number of parts; divides the first axis of each array.
    loss_weights_index: The index of the loss weights in the batch; `None` for a
      loss that is a plain mean.
    axis_name: The name of the axis of devices, if there are several, each with
      its share of the batch; results are averaged over it.
  """

  def accumulated(batch, weights, state, rng):
    parts = jax.tree.map(
      lambda x: x.reshape(n_parts, -1, *x.shape[1:]), tuple(batch)
    )
    if loss_weights_index is None:
      part_weights = jnp.ones(n_parts)
    else:
      part_weights = parts[loss_weights_index].reshape(n_parts, -1).sum(axis=1)
    if axis_name is not None:
      part_weights = jax.lax.psum(part_weights, axis_name)
    shares = part_weights / part_weights.sum()

    def add_part(sums, part):
      batch, share, rng = part
      (loss, new_state), gradients = forward_and_backward(
        batch, weights, state, rng
      )
      # A part whose weights are all zero has NaN for loss and gradients.
      sums = jax.tree.map(
        lambda y, x: y + jnp.where(share == 0, 0, share * x).astype(y.dtype),
        sums,
        (loss, gradients),
      )
      return sums, new_state

    sums = jnp.float32(0), jax.tree.map(_zeros, weights)
    rngs = jax.random.split(rng, n_parts)
    (loss, gradients), states = jax.lax.scan(
      add_part, sums, (parts, shares, rngs)
    )
    gradients = jax.tree.map(lambda g, x: g.astype(x.dtype), gradients, weights)
    return (loss, jax.tree.map(lambda s: s[-1], states)), gradients

  return accumulated


def _zeros(x):
  """Returns zeros to add gradients to, in float32 or wider."""
  return jnp.zeros(x.shape, jnp.promote_types(x.dtype, jnp.float32))
