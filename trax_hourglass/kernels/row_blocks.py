"""Blocks of a head's rows, with the keys and distances that each block sees.

Names and shapes are those of `blockwise`.

Source: arXiv:1901.02860, App. B (the shift).
"""

import functools
import typing

import jax
from jax import numpy as jnp

from trax_hourglass.kernels import heads as heads_lib
from trax_hourglass.kernels.alignment import Alignment, align

BLOCK = 256  # Rows of a block.
# Most runs of blocks, each compiled by itself: with more runs, fewer keys are
# met that no row sees, but compilation takes longer.
MAX_RUNS = 8
MASKED = -1e9  # The logit of a key that a query does not see.

product = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)


class Operands(typing.NamedTuple):
  """The factors of a head's products."""

  queries: jax.Array  # Scaled, to meet keys, (phases, rows, d_head).
  keys: jax.Array  # (step * rows, d_head).
  values: jax.Array  # (step * rows, d_head).
  located: jax.Array | None  # Scaled queries that meet distances.
  distances: jax.Array | None  # (phases, step * rows, d_head).

  def transposed(self):
    """Returns the factors with their last two axes swapped.

    On a CPU a product sums along the rows of its first factor and the columns
    of its second, and copies a factor that lies otherwise, for every block.
    """
    return jax.tree.map(transposed, self)


class Block(typing.NamedTuple):
  """Some rows of a head, and the keys and distances that they see."""

  start: jax.Array | int  # The first row.
  size: int  # Number of rows.
  n_keys: int  # At least as many as the last row sees.
  step: int  # Keys in a group.
  n_rows: int  # Number of rows of the head.

  def rows(self, x, axis=-2):
    """Returns these rows of all rows, `(phases, size, d)`."""
    return jax.lax.dynamic_slice_in_dim(x, self.start, self.size, axis)

  def keys(self, x, axis=-2):
    """Returns these keys of all keys, `(n_keys, d)`."""
    return jax.lax.slice_in_dim(x, 0, self.n_keys, axis=axis)

  @property
  def window_start(self):
    """The first distance that these rows meet: from the last row to key 0."""
    last = self.start + self.size - 1
    return Alignment(self.step).index(last, 0, self.n_rows)

  def window(self, distances, axis=-2):
    """Returns the distances of these rows, `(phases, n_keys + step, d)`.

    `distances` are those of `with_later_distances`.
    """
    return jax.lax.dynamic_slice_in_dim(
      distances, self.window_start, self.n_keys + self.step, axis
    )

  def add_to_window(self, sums, x):
    """Adds `x`, `(phases, d, n_keys + step)`, to `sums`, `(phases, d, n)`."""
    old = self.window(sums, axis=-1)
    return jax.lax.dynamic_update_slice_in_dim(
      sums, old + x, self.window_start, axis=-1
    )

  def logits(self, operands, transposed, first=None):
    """Returns masked logits in float32, `(phases, size, n_keys)`.

    Args:
      operands: `Operands` of a head.
      transposed: `operands.transposed()`.
      first: The first row whose keys each row sees, `(rows,)`; by default 0.
    """
    logits = product(
      'pid,dj->pij',
      self.rows(operands.queries),
      self.keys(transposed.keys, axis=-1),
    )
    if operands.distances is not None:
      by_distance = product(
        'pid,pdn->pin',
        self.rows(operands.located),
        self.window(transposed.distances, axis=-1),
      )
      logits += distance_to_key(by_distance, self.step)
    return jnp.where(self.visible(first), logits, MASKED)

  def visible(self, first=None):
    """Returns which keys these rows see, `(size, n_keys)`.

    `first` is as for `logits`.
    """
    row = self.start + jnp.arange(self.size)[:, None]
    key = jnp.arange(self.n_keys)
    visible = key < Alignment(self.step).n_seen(row)
    if first is not None:
      visible &= key >= self.step * self.rows(first[:, None])
    return visible


def operands(inputs):
  """Returns `Operands` of all heads, `(heads, batch, ...)`.

  Distances have no batch. `inputs` are queries, keys, values and a location.
  """
  queries, keys, values, location = inputs
  n_phases = align(queries.shape[2], keys.shape[2]).key_step

  def scaled(bias):
    return split(heads_lib.scaled(queries, bias), n_phases)

  keys, values = keys.swapaxes(0, 1), values.swapaxes(0, 1)
  if location is None:
    return Operands(scaled(0), keys, values, None, None)
  distances, context_bias, location_bias = location
  heads, n, d_head = distances.shape
  distances = distances.reshape(heads, n // n_phases, n_phases, d_head)
  return Operands(
    scaled(context_bias),
    keys,
    values,
    scaled(location_bias),
    # Later phases are farther from their group's key, so their distances come
    # earlier.
    distances.swapaxes(1, 2)[:, ::-1],
  )


def split(x, n_phases):
  """Maps `(batch, heads, q, d)` to `(heads, batch, phases, rows, d)`."""
  batch, heads, q, d = x.shape
  x = x.reshape(batch, heads, q // n_phases, n_phases, d)
  return x.transpose(1, 0, 3, 2, 4)


def merge(x):
  """Maps `(heads, batch, phases, rows, d)` to `(batch, heads, q, d)`."""
  heads, batch, n_phases, rows, d = x.shape
  return x.transpose(1, 0, 3, 2, 4).reshape(batch, heads, n_phases * rows, d)


def transposed(x):
  """Returns an array with its last two axes swapped."""
  return x.swapaxes(-1, -2)


def distance_to_key(x, step):
  """Maps logits by distance, `(..., rows, n + step)`, to `(..., rows, n)`.

  Each row's distances begin `step` earlier than those of the row before, so the
  flattened array, cut to rows shorter by `step`, has a key in each column.
  """
  *batch, rows, width = x.shape
  n, first = width - step, step * (rows - 1)
  x = x.reshape(*batch, rows * width)[..., first : first + rows * n]
  return x.reshape(*batch, rows, n)


def key_to_distance(x, step):
  """Maps `(..., rows, n)` to `(..., rows, n + step)`, with zeros between.

  The transpose of `distance_to_key`.
  """
  *batch, rows, n = x.shape
  x = x.reshape(*batch, rows * n)
  # For `jnp.pad` XLA would divide to find the source of each element.
  zeros = jnp.zeros((*batch, rows * (n + step)), x.dtype)
  zeros, x = jax.lax.optimization_barrier((zeros, x))
  x = jax.lax.dynamic_update_slice_in_dim(zeros, x, step * (rows - 1), axis=-1)
  return x.reshape(*batch, rows, n + step)


def with_later_distances(operands, size):
  """Pads distances, so that the window of every block of `size` is whole."""
  if operands.distances is None:
    return operands
  rows, step = _rows_and_step(operands)
  last = max(n * size - size for _, n, size in _runs(rows, size))
  distances = pad(operands.distances, 0, step * (1 + last))
  return operands._replace(distances=distances)


def pad(x, before, after):
  """Pads the last axis but one, of rows, keys or distances, with zeros."""
  return jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(before, after), (0, 0)])


def each_block(f, carry, operands, size):
  """Returns the last carry and the outputs of all rows, `(..., rows, d)`.

  Args:
    f: Function from a carry and a `Block` to the next carry and a tree of
      outputs, `(..., rows of the block, d)`.
    carry: The first carry.
    operands: `Operands` of a head, or of all.
    size: Rows of a block; the last one may have fewer.
  """
  n_rows, step = _rows_and_step(operands)
  outputs = []
  for start, n_blocks, rows in _runs(n_rows, size):
    n_keys = step * (start + n_blocks * rows)

    def run_block(carry, start, rows=rows, n_keys=n_keys):
      return f(carry, Block(start, rows, n_keys, step, n_rows))

    if n_blocks == 1:
      carry, output = run_block(carry, start)
    else:
      starts = start + rows * jnp.arange(n_blocks)
      carry, output = jax.lax.scan(run_block, carry, starts)
      output = jax.tree.map(_join_blocks, output)
    outputs.append(output)
  return carry, jax.tree.map(lambda *x: jnp.concatenate(x, axis=-2), *outputs)


def _join_blocks(x):
  """Maps `(blocks, ..., rows, d)` to `(..., blocks * rows, d)`."""
  n_blocks, *others, rows, d = x.shape
  return jnp.moveaxis(x, 0, -3).reshape(*others, n_blocks * rows, d)


def _rows_and_step(operands):
  n_rows = operands.queries.shape[-2]
  return n_rows, operands.keys.shape[-2] // n_rows


def _runs(n_rows, size):
  """Returns (first row, number of blocks, rows in a block) for runs of blocks.

  All blocks of a run meet the keys of its last block, and are compiled once.
  """
  n_whole, n_left = divmod(n_rows, size)
  length = max(1, -(-n_whole // MAX_RUNS))
  runs = [
    (size * first, min(length, n_whole - first), size)
    for first in range(0, n_whole, length)
  ]
  return runs + [(n_rows - n_left, 1, n_left)] * (n_left > 0)
