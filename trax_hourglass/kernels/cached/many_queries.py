"""Many queries at once that attend to a cache, such as those of a prompt.

Here a cache is put together to whole arrays and taken apart again, which costs
a prompt little. Rows of queries meet keys in blocks, as many as the last row
sees, so that the work grows with what has been filled. Names and shapes are
those of `attention`.
"""

import jax
from jax import numpy as jnp

from trax_hourglass.kernels.cached import distances as cached_distances
from trax_hourglass.kernels.cached import segments
from trax_hourglass.kernels.row_blocks import MASKED, distance_to_key, product

QUERIES = 256  # Queries in a block, at most, or those of one row.
KEYS = 256  # Keys in a block, at most.
SELF = -1e5  # What the Reformer adds to the logit of a vector with itself.


def append(cache, call):
  """Returns the cache with all that a call brings."""
  n_queries, n_keys = call.queries.shape[2], call.keys.shape[2]

  def written(old, vectors, start):
    joined = jax.lax.dynamic_update_slice_in_dim(
      segments.joined(old),
      vectors.swapaxes(2, 3).astype(old[0].dtype),
      start,
      axis=3,
    )
    return segments.split_like(old, joined)

  if n_queries and call.distances is not None:
    start = cache.length - n_queries - cache.n_queries
    rows = call.distances[None, :, ::-1]
    cache = cache._replace(distances=written(cache.distances, rows, start))
  if not n_keys:
    return cache
  return cache._replace(
    keys=written(cache.keys, call.keys, cache.n_keys),
    values=written(cache.values, call.values, cache.n_keys),
    n_keys=cache.n_keys + n_keys,
  )


def attend(cache, call, alignment, excludes_self):
  """Returns what the queries find, `(batch, heads, q, d_head)`."""
  n_phases = alignment.key_step
  group, phase = jnp.divmod(cache.n_queries, n_phases)
  n_queries = call.queries.shape[2]
  n_rows = -(-(n_queries + n_phases - 1) // n_phases)
  size = min(max(QUERIES // n_phases, 1), n_rows)
  n_blocks = -(-n_rows // size)

  def blocks(x):
    """Maps `(batch, heads, q, d)` to blocks of `(.., phases, size, d)`."""
    batch, heads, _, d = x.shape
    frame = jnp.zeros((batch, heads, n_blocks * size * n_phases, d), x.dtype)
    frame = jax.lax.dynamic_update_slice_in_dim(frame, x, phase, axis=2)
    frame = frame.reshape(batch, heads, n_blocks, size, n_phases, d)
    return frame.transpose(2, 0, 1, 4, 3, 5)

  operands = _Operands(cache, call, alignment, size)

  def of_block(block):
    number, queries, located = block
    return operands.attend(
      group + number * size, queries, located, excludes_self
    )

  located = None if call.located is None else blocks(call.located)
  numbers = jnp.arange(n_blocks)
  y = jax.lax.map(of_block, (numbers, blocks(call.queries), located))
  y = y.transpose(1, 2, 0, 4, 3, 5)
  y = y.reshape(*y.shape[:2], n_blocks * size * n_phases, y.shape[-1])
  return jax.lax.dynamic_slice_in_dim(y, phase, n_queries, axis=2)


class _Operands:
  """Whole arrays of a cache, for blocks of rows of queries.

  Attributes:
    alignment: `Alignment`; a row is a group of queries.
    size: Rows of a block.
    n_keys: Keys of a block.
    keys: `(batch, heads, d, multiple of n_keys)`.
    values: The same.
    distances: `(phases, heads, d, more)`, or `None`.
  """

  def __init__(self, cache, call, alignment, size):
    self.alignment = alignment
    self.size = size
    self.n_keys = min(KEYS, cache.length)
    missing = -cache.length % self.n_keys
    widths = ((0, 0), (0, 0), (0, 0), (0, missing))
    self.keys = jnp.pad(segments.joined(cache.keys), widths)
    self.values = jnp.pad(segments.joined(cache.values), widths)
    self.distances = None
    if call.located is not None:
      if call.kernel is None:
        distances = segments.joined(cache.distances)
      else:
        distances = cached_distances.projected(
          call.kernel, alignment, cache.length
        )
      # Room for what only masked logits belong to, so that no window is moved.
      before = alignment.query_step * size
      widths = ((0, 0), (0, 0), (0, 0), (before, before + self.n_keys))
      self.distances = jnp.pad(distances, widths)
      self._last = before + cache.length

  def attend(self, row, queries, located, excludes_self):
    """Returns what a block finds, `(batch, heads, phases, size, d)`.

    Args:
      row: The first row, known only when it runs.
      queries: `(batch, heads, phases, size, d)`.
      located: The same, or `None`.
      excludes_self: As for `attention.attend`.
    """
    n_seen = self.alignment.n_seen(row + jnp.arange(self.size))[:, None]

    def of_keys(i, carry):
      largest, total, y = carry
      start = i * self.n_keys
      logits = self._logits(row, start, queries, located)
      key = start + jnp.arange(self.n_keys)
      if excludes_self:
        logits += jnp.where(key == n_seen - 1, SELF, 0)
      logits = jnp.where(key < n_seen, logits, MASKED)
      new = jnp.maximum(largest, jnp.max(logits, axis=-1, keepdims=True))
      weights = jnp.exp(logits - new)
      values = self._block(self.values, start)
      scale = jnp.exp(largest - new)
      y = scale * y + product(
        'bhpij,bhdj->bhpid', weights.astype(values.dtype), values
      )
      total = scale * total + jnp.sum(weights, axis=-1, keepdims=True)
      return new, total, y

    y = jnp.zeros(queries.shape, jnp.float32)
    carry = jnp.full_like(y[..., :1], MASKED), y[..., :1], y
    n_needed = -(-(n_seen[-1, 0]) // self.n_keys)
    n_blocks = jnp.minimum(n_needed, self.keys.shape[3] // self.n_keys)
    _, total, y = jax.lax.fori_loop(0, n_blocks, of_keys, carry)
    return y / total

  def _block(self, x, start):
    return jax.lax.dynamic_slice_in_dim(x, start, self.n_keys, axis=3)

  def _logits(self, row, start, queries, located):
    logits = product(
      'bhpid,bhdj->bhpij', queries, self._block(self.keys, start)
    )
    if located is None:
      return logits
    # The last row's distance to the first key, and those that follow.
    step = self.alignment.query_step
    n_seen = self.alignment.n_seen(row + self.size - 1)
    n = self.n_keys + step * self.size
    window = jax.lax.dynamic_slice_in_dim(
      self.distances, self._last - n_seen + start, n, axis=3
    )
    by_distance = product('bhpid,phdn->bhpin', located, window)
    by_key = distance_to_key(by_distance, step)
    return logits + by_key[..., : self.n_keys]
