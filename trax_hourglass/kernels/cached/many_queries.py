"""Attention of many queries to a cache, such as those of a prompt.

The segments of a cache are joined to whole arrays and split again, which costs
a prompt little. A block of rows meets only as many blocks of keys as its last
row sees, so the work grows with the filled part of the cache. Names and shapes
are those of `attention`.
"""

import jax
from jax import numpy as jnp

from trax_hourglass.kernels.cached import distances as cached_distances
from trax_hourglass.kernels.cached import segments, starts
from trax_hourglass.kernels.row_blocks import MASKED, distance_to_key, product

QUERIES = 256  # Most queries in a block of more than one row.
KEYS = 256  # Most keys in a block.
SELF = -1e5  # Added to the logit of a vector with itself, as in the Reformer.


def append(cache, call):
  """Returns the cache with the keys, values and distances of a call."""
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
  """Returns attention outputs, `(batch, heads, q, d_head)`."""
  n_phases = alignment.key_step
  group, phase = jnp.divmod(cache.n_queries, n_phases)
  n_queries = call.queries.shape[2]
  n_rows = -(-(n_queries + n_phases - 1) // n_phases)
  size = min(max(QUERIES // n_phases, 1), n_rows)
  n_blocks = -(-n_rows // size)

  def blocks(x):
    """Maps `(batch, heads, q, d)` to `(blocks, .., phases, size, d)`."""
    batch, heads, _, d = x.shape
    frame = jnp.zeros((batch, heads, n_blocks * size * n_phases, d), x.dtype)
    frame = jax.lax.dynamic_update_slice_in_dim(frame, x, phase, axis=2)
    frame = frame.reshape(batch, heads, n_blocks, size, n_phases, d)
    return frame.transpose(2, 0, 1, 4, 3, 5)

  operands = _Operands(cache, call, alignment, size)

  def attend_block(block):
    number, queries, located = block
    return operands.attend(
      group + number * size, queries, located, excludes_self
    )

  located = None if call.located is None else blocks(call.located)
  numbers = jnp.arange(n_blocks)
  y = jax.lax.map(attend_block, (numbers, blocks(call.queries), located))
  y = y.transpose(1, 2, 0, 4, 3, 5)
  y = y.reshape(*y.shape[:2], n_blocks * size * n_phases, y.shape[-1])
  return jax.lax.dynamic_slice_in_dim(y, phase, n_queries, axis=2)


class _Operands:
  """The whole arrays of a cache, in which blocks of rows attend.

  Attributes:
    alignment: `Alignment`; a row is a group of queries.
    size: Rows of a block.
    n_keys: Keys of a block.
    keys: `(batch, heads, d, multiple of n_keys)`.
    values: The same.
    distances: Padded distances, `(phases, heads, d, n)`, or `None`.
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
      # Padding that only masked logits meet, so that no window is clamped.
      before = alignment.query_step * size
      widths = ((0, 0), (0, 0), (0, 0), (before, before + self.n_keys))
      self.distances = jnp.pad(distances, widths)
      self._last = before + cache.length

  def attend(self, row, queries, located, excludes_self):
    """Returns the outputs of a block, `(batch, heads, phases, size, d)`.

    Args:
      row: Number of the first row.
      queries: `(batch, heads, phases, size, d)`.
      located: Like `queries`, or `None`.
      excludes_self: As for `attention.attend`.
    """
    n_seen = self.alignment.n_seen(row + jnp.arange(self.size))[:, None]
    first = starts.first_vectors(
      self.alignment.tokens_per_key, queries.shape[:2]
    )

    def add_keys(i, carry):
      largest, total, y = carry
      start = i * self.n_keys
      logits = self._logits(row, start, queries, located)
      key = start + jnp.arange(self.n_keys)
      if excludes_self:
        logits += jnp.where(key == n_seen - 1, SELF, 0)
      visible = key < n_seen
      if first is not None:
        visible &= key >= first[..., None, None, None]
      logits = jnp.where(visible, logits, MASKED)
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
    _, total, y = jax.lax.fori_loop(0, n_blocks, add_keys, carry)
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
