"""All devices of all hosts in a row, each with its share of every batch.

Every device holds all weights, runs the program of a single device on its own
sequences, and waits for the others only where that program sums over `AXIS`.
"""

from collections.abc import Callable

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

# Trax's losses and metrics sum their weights over the axis of this name, so
# that a token counts the same on whichever device it is.
AXIS = 'batch'

REPLICATED = PartitionSpec()
SHARDED = PartitionSpec(AXIS)


def mesh() -> Mesh:
  return Mesh(np.array(jax.devices()), (AXIS,))


def replicate(tree):
  """Returns a tree of arrays that every device holds whole.

  Args:
    tree: Arrays, equal on all hosts. They stay valid when the result is
      donated, except for those that are already on every device.
  """
  sharding = NamedSharding(mesh(), REPLICATED)

  def put(x):
    if isinstance(x, jax.Array) and x.sharding == sharding:
      return x
    # Does not block: the host may be ahead of its devices.
    copies = [
      jax.device_put(x, device, may_alias=False)
      for device in jax.local_devices()
    ]
    return jax.make_array_from_single_device_arrays(
      np.shape(x), sharding, copies
    )

  return jax.tree.map(put, tree)


def shard(batch):
  """Returns a tree of arrays of which every device holds its rows.

  Args:
    batch: Tree of NumPy arrays whose first axis `jax.device_count()` divides.
      If hosts differ in it, each supplies the rows of its own devices.
  """
  sharding = NamedSharding(mesh(), SHARDED)

  def put(x):
    return jax.make_array_from_callback(x.shape, sharding, x.__getitem__)

  return jax.tree.map(put, jax.device_get(batch))


def local(tree):
  """Returns replicated arrays as those of this host's first device.

  What is computed from them then involves no other host.
  """
  return jax.tree.map(lambda x: x.addressable_data(0), tree)


def on_each(
  function: Callable,
  in_specs: tuple[PartitionSpec, ...],
  donate_argnums: tuple[int, ...] = (),
) -> Callable:
  """Compiles a function to run on all devices simultaneously.

  Args:
    function: Runs on each device. It may sum over `AXIS`, and returns a tree
      that is the same on all devices.
    in_specs: `REPLICATED` or `SHARDED` for each argument.
    donate_argnums: As for `jax.jit`.
  """
  devices = mesh()
  mapped = jax.shard_map(
    function,
    mesh=devices,
    in_specs=in_specs,
    out_specs=REPLICATED,
    check_vma=False,
  )
  return jax.jit(
    mapped,
    in_shardings=tuple(NamedSharding(devices, spec) for spec in in_specs),
    donate_argnums=donate_argnums,
  )


def device_key(rng):
  """Returns a random key of this device's own, within `on_each`."""
  return jax.random.fold_in(rng, jax.lax.axis_index(AXIS))


def from_first(tree):
  """Returns the first device's tree of arrays, within `on_each`."""
  is_first = jax.lax.axis_index(AXIS) == 0

  def keep(x):
    x = jax.numpy.asarray(x)
    sent = jax.numpy.where(is_first, x, jax.numpy.zeros_like(x))
    return jax.lax.psum(sent, AXIS).astype(x.dtype)

  return jax.tree.map(keep, tree)


def gather(rows):
  """Returns the rows of all devices, in order, within `on_each`."""
  return jax.lax.all_gather(rows, AXIS, tiled=True)
