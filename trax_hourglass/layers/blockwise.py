"""Exact causal attention in blocks of rows, in memory linear in the length.

A block of rows meets only the keys up to its last one, so that nearly half of
all pairs is never computed, and its logits are gone before the next one begins.
The backward pass computes them once more, from the logarithm of each row's sum
of exponentials, which with the output is all that is kept.

Three cases are one here. A row sees the `step` keys of its own group and those
of all earlier groups: `step` is 1 within a level, and k where queries are k
times fewer than keys. Where they are k times as many, each of the k queries of
a group, its `phases`, sees the same keys at distances of its own.

Source: arXiv:1901.02860, App. B (the shift); arXiv:2205.14135, App. B (the
backward pass).
"""

import functools
import typing

import jax
from jax import numpy as jnp

from trax_hourglass.errors import UserError
from trax_hourglass.layers import random_masks
from trax_hourglass.layers.basic import stored

_MASKED = -1e9
_BLOCK = 256  # Rows of a block.
_MAX_RUNS = 4  # Runs of blocks, each compiled by itself.
_CACHED = 2**20  # Logits that a CPU computes at once.
_product = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)


class Location(typing.NamedTuple):
  """How logits depend on distance, as in Transformer-XL.

  Attributes:
    distances: R, `(heads, max(q, k), d_head)`, farthest past first.
    context_bias: u, `(1, heads, 1, d_head)`.
    location_bias: v, `(1, heads, 1, d_head)`.
  """

  distances: jax.Array
  context_bias: jax.Array
  location_bias: jax.Array


@functools.partial(jax.jit, static_argnames='dropout')
def attention(queries, keys, values, location=None, dropout=0.0, rng=None):
  """Returns softmax(logits / sqrt(d_head)) V over visible keys, like `queries`.

  Logits are Q K^T, or with a location (Q + u) K^T + (Q + v) R^T, where row n of
  R belongs to the n-th distance.

  Args:
    queries: `(batch, heads, q, d_head)`.
    keys: `(batch, heads, k, d_head)`; `q` divides `k` or `k` divides `q`.
    values: `(batch, heads, k, d_head)`.
    location: A `Location`, or `None`.
    dropout: Share of the attention weights dropped, to 1/65,536.
    rng: Random key, needed where `dropout` is above 0.

  Raises:
    UserError: If neither number of rows is a multiple of the other.
  """
  steps(queries.shape[2], keys.shape[2])
  inputs = queries, keys, values, location
  return _attention(inputs, rng if dropout else None, dropout)


def steps(q, k):
  """Returns how far a query and a key advance on the finer sequence.

  Raises:
    UserError: If neither number of rows is a multiple of the other.
  """
  if q % k and k % q:
    raise UserError(
      f'got {q} queries and {k} keys, expected one number to be a multiple of '
      'the other'
    )
  return max(k // q, 1), max(q // k, 1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _attention(inputs, rng, dropout):
  return _forward(inputs, rng, dropout)[0]


def _forward(inputs, rng, dropout):
  values = inputs[2]
  operands = _operands(inputs)
  y, log_sums = _each_head(_head_forward, dropout, operands, rng)
  y = _merge(y).astype(values.dtype)
  y, log_sums = stored((y, log_sums))
  return y, (inputs, rng, y, log_sums)


def _backward(dropout, residuals, dy):
  inputs, rng, y, log_sums = residuals
  operands, pull_back = jax.vjp(_operands, inputs)
  n_phases = operands.queries.shape[2]
  # What a softmax takes from the gradient of every logit of a row.
  mean = jnp.sum(y.astype(jnp.float32) * dy, axis=-1, keepdims=True)
  gradients = _each_head(
    _head_backward,
    dropout,
    operands,
    rng,
    _split(dy, n_phases),
    log_sums,
    _split(mean, n_phases),
  )
  if operands.distances is not None:
    summed = jnp.sum(gradients.distances, axis=1)
    gradients = gradients._replace(distances=summed)
  gradients = jax.tree.map(lambda g, x: g.astype(x.dtype), gradients, operands)
  return *pull_back(gradients), None


_attention.defvjp(_forward, _backward)


class _Operands(typing.NamedTuple):
  """The factors of a head's products.

  Attributes:
    queries: Those that meet keys, scaled, `(phases, rows, d_head)`.
    keys: `(step * rows, d_head)`.
    values: `(step * rows, d_head)`.
    located: Those that meet distances, like `queries`, or `None`.
    distances: `(phases, step * rows, d_head)`, or `None`.
  """

  queries: jax.Array
  keys: jax.Array
  values: jax.Array
  located: jax.Array | None
  distances: jax.Array | None


def _operands(inputs):
  """Returns `_Operands` with axes `(heads, batch)`; distances have no batch."""
  queries, keys, values, location = inputs
  _, _, q, d_head = queries.shape
  _, n_phases = steps(q, keys.shape[2])

  def scaled(bias):
    x = (queries.astype(jnp.float32) + bias) / jnp.sqrt(d_head)
    return _split(x.astype(queries.dtype), n_phases)

  keys, values = keys.swapaxes(0, 1), values.swapaxes(0, 1)
  if location is None:
    return _Operands(scaled(0), keys, values, None, None)
  distances, context_bias, location_bias = location
  heads, n, _ = distances.shape
  distances = distances.reshape(heads, n // n_phases, n_phases, d_head)
  return _Operands(
    scaled(context_bias),
    keys,
    values,
    scaled(location_bias),
    # The farther a phase is from its group's key, the earlier its distances.
    distances.swapaxes(1, 2)[:, ::-1],
  )


def _split(x, n_phases):
  """Maps `(batch, heads, q, d)` to `(heads, batch, phases, rows, d)`."""
  batch, heads, q, d = x.shape
  x = x.reshape(batch, heads, q // n_phases, n_phases, d)
  return x.transpose(1, 0, 3, 2, 4)


def _merge(x):
  """Maps `(heads, batch, phases, rows, d)` to `(batch, heads, q, d)`."""
  heads, batch, n_phases, rows, d = x.shape
  return x.transpose(1, 0, 3, 2, 4).reshape(batch, heads, n_phases * rows, d)


def _each_head(head_fn, dropout, operands, rng, *arrays):
  """Returns `head_fn` of every head of every sequence, `(heads, batch, ...)`.

  All at once on an accelerator; on a CPU as many as its cache holds the logits
  of.

  Args:
    head_fn: Function from `_Operands`, a random key and arrays to a tree.
    dropout: Its last argument.
    operands: Those of all heads.
    rng: Random key, or `None`.
    *arrays: Further ones, `(heads, batch, ...)`.
  """
  heads, batch, n_phases, rows, _ = operands.queries.shape
  keys = None
  if rng is not None:
    keys = jax.random.bits(rng, (heads, batch, 2), jnp.uint32)

  def run(map_heads, map_batch, *args):
    def run_head(args):
      operands, *others = args

      def run_sequence(args):
        of_sequence, key, *arrays = args
        of_sequence = of_sequence._replace(distances=operands.distances)
        return head_fn(of_sequence, key, *arrays, dropout=dropout)

      batched = operands._replace(distances=None)
      return map_batch(run_sequence, (batched, *others))

    return map_heads(run_head, args)

  def at_once(f, args):
    return jax.vmap(f)(args)

  n_logits = n_phases * min(rows, _BLOCK) * operands.keys.shape[2]
  map_batch = at_once if batch * n_logits <= _CACHED else jax.lax.map
  map_heads = at_once if heads * batch * n_logits <= _CACHED else jax.lax.map
  return jax.lax.platform_dependent(
    operands,
    keys,
    *arrays,
    cpu=functools.partial(run, map_heads, map_batch),
    default=functools.partial(run, at_once, at_once),
  )


def _head_forward(operands, key, dropout):
  """Returns `(phases, rows, d_head)` and log sums, `(phases, rows, 1)`."""
  operands = _with_later_distances(operands)

  def of_block(carry, block):
    logits = block.logits(operands)
    largest = jnp.max(logits, axis=-1, keepdims=True)
    weights = jnp.exp(logits - largest)
    total = jnp.sum(weights, axis=-1, keepdims=True)
    values = block.keys(operands.values)
    kept = _drop(weights, key, block, dropout).astype(values.dtype)
    y = _product('pij,jd->pid', kept, values)
    return carry, (y / total, largest + jnp.log(total))

  _, outputs = _each_block(of_block, None, operands)
  return outputs


def _head_backward(operands, key, dy, log_sums, mean, dropout):
  """Returns the gradients of a head's `_Operands`.

  Args:
    operands: See `_Operands`.
    key: Random key, or `None`.
    dy: Gradient of the output, `(phases, rows, d_head)`.
    log_sums: Those of `_head_forward`.
    mean: Each row's mean, by its weights, of their gradients, like `log_sums`.
    dropout: As for `attention`.
  """
  n_distances = operands.keys.shape[0]
  operands = _with_later_distances(operands)
  queries, keys, values, located, distances = operands

  def of_block(sums, block):
    weights = jnp.exp(block.logits(operands) - block.rows(log_sums))
    kept = _drop(weights, key, block, dropout)
    d_kept = _product('pid,jd->pij', block.rows(dy), block.keys(values))
    d_logits = kept * d_kept - weights * block.rows(mean)
    kept, d_logits = kept.astype(values.dtype), d_logits.astype(values.dtype)
    d_keys = _product('pid,pij->dj', block.rows(queries), d_logits)
    d_values = _product('pid,pij->dj', block.rows(dy), kept)
    sums = sums._replace(
      keys=sums.keys.at[:, : block.n_keys].add(d_keys),
      values=sums.values.at[:, : block.n_keys].add(d_values),
    )
    d_queries = _product('pij,jd->pid', d_logits, block.keys(keys))
    if distances is None:
      return sums, (d_queries, None)
    d_logits = key_to_distance(d_logits, block.step)
    d_window = _product('pid,pin->pdn', block.rows(located), d_logits)
    d_located = _product('pin,pnd->pid', d_logits, block.window(distances))
    d_distances = block.add_to_window(sums.distances, d_window)
    return sums._replace(distances=d_distances), (d_queries, d_located)

  # Summed as (..., d_head, keys): so XLA multiplies twice as fast on a CPU.
  sums = jax.tree.map(
    lambda x: jnp.zeros(x.swapaxes(-1, -2).shape, jnp.float32),
    operands._replace(queries=None, located=None),
  )
  sums, (d_queries, d_located) = _each_block(of_block, sums, operands)
  sums = jax.tree.map(lambda x: x.swapaxes(-1, -2), sums)
  if distances is not None:
    sums = sums._replace(distances=sums.distances[:, :n_distances])
  return sums._replace(queries=d_queries, located=d_located)


def _drop(weights, key, block, dropout):
  """Returns the weights of a block with a share of them dropped.

  The mask belongs to rows and keys, and is the same in both directions.
  """
  if not dropout:
    return weights
  n_phases, size, n_keys = weights.shape
  phase = jnp.arange(n_phases)[:, None, None]
  row = phase * block.n_rows + block.start + jnp.arange(size)[:, None]
  kept = random_masks.keep_rows(key, dropout, row.astype(jnp.uint32), n_keys)
  return jnp.where(kept, weights / (1 - dropout), 0)


class _Block(typing.NamedTuple):
  """Some rows of a head, and the keys and distances that they see.

  Attributes:
    start: The first row, perhaps known only when it runs.
    size: Number of rows.
    n_keys: Number of keys: what the last row sees, or more.
    step: Keys in a group.
    n_rows: Number of rows of the head.
  """

  start: jax.Array | int
  size: int
  n_keys: int
  step: int
  n_rows: int

  def rows(self, x):
    """Returns `(phases, size, d)` of `(phases, n_rows, d)`."""
    return jax.lax.dynamic_slice_in_dim(x, self.start, self.size, axis=1)

  def keys(self, x):
    """Returns `(n_keys, d)` of `(step * n_rows, d)`."""
    return x[: self.n_keys]

  @property
  def window_start(self):
    """The first distance that these rows see: from the last row to key 0."""
    return self.step * (self.n_rows - self.start - self.size)

  def window(self, distances):
    """Returns `(phases, n_keys + step, d)` of distances with later ones."""
    return jax.lax.dynamic_slice_in_dim(
      distances, self.window_start, self.n_keys + self.step, axis=1
    )

  def add_to_window(self, sums, x):
    """Returns `(phases, d, n)` with `(phases, d, n_keys + step)` added."""
    n = self.n_keys + self.step
    old = jax.lax.dynamic_slice_in_dim(sums, self.window_start, n, axis=2)
    return jax.lax.dynamic_update_slice_in_dim(
      sums, old + x, self.window_start, axis=2
    )

  def logits(self, operands):
    """Returns `(phases, size, n_keys)` in float32, masked."""
    logits = _product(
      'pid,jd->pij', self.rows(operands.queries), self.keys(operands.keys)
    )
    if operands.distances is not None:
      by_distance = _product(
        'pid,pnd->pin',
        self.rows(operands.located),
        self.window(operands.distances),
      )
      logits += distance_to_key(by_distance, self.step)
    row = self.start + jnp.arange(self.size)[:, None]
    visible = jnp.arange(self.n_keys) // self.step <= row
    return jnp.where(visible, logits, _MASKED)


def distance_to_key(x, step):
  """Maps logits by distance, `(..., rows, n + step)`, to `(..., rows, n)`.

  Each row's distances begin `step` earlier than those of the row before, so in
  the flattened array, without the first few, rows shorter by `step` align.
  """
  *batch, rows, width = x.shape
  n, first = width - step, step * (rows - 1)
  x = x.reshape(*batch, rows * width)[..., first : first + rows * n]
  return x.reshape(*batch, rows, n)


def key_to_distance(x, step):
  """Maps `(..., rows, n)` to `(..., rows, n + step)`, zero where no key is.

  The transpose of `distance_to_key`.
  """
  *batch, rows, n = x.shape
  x = x.reshape(*batch, rows * n)
  x = jnp.pad(x, [(0, 0)] * len(batch) + [(step * (rows - 1), step)])
  return x.reshape(*batch, rows, n + step)


def _with_later_distances(operands):
  """Adds distances to keys that no row of a block sees, for whole windows."""
  if operands.distances is None:
    return operands
  rows, step = _rows_and_step(operands)
  n_later = step * (1 + max(run * size - size for _, run, size in _runs(rows)))
  distances = jnp.pad(operands.distances, ((0, 0), (0, n_later), (0, 0)))
  return operands._replace(distances=distances)


def _each_block(f, carry, operands):
  """Returns the last carry and the outputs of all rows, `(phases, rows, d)`.

  Args:
    f: Function from a carry and a `_Block` to a carry and a tree of outputs,
      `(phases, size, d)`.
    carry: The first.
    operands: Of a head.
  """
  n_rows, step = _rows_and_step(operands)
  outputs = []
  for start, n_blocks, size in _runs(n_rows):
    n_keys = step * (start + n_blocks * size)

    def of_block(carry, start, size=size, n_keys=n_keys):
      return f(carry, _Block(start, size, n_keys, step, n_rows))

    if n_blocks == 1:
      carry, output = of_block(carry, start)
    else:
      starts = start + size * jnp.arange(n_blocks)
      carry, output = jax.lax.scan(of_block, carry, starts)
      output = jax.tree.map(_join_blocks, output)
    outputs.append(output)
  return carry, jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), *outputs)


def _join_blocks(x):
  """Maps `(blocks, phases, size, d)` to `(phases, blocks * size, d)`."""
  n_blocks, n_phases, size, d = x.shape
  return x.swapaxes(0, 1).reshape(n_phases, n_blocks * size, d)


def _rows_and_step(operands):
  n_rows = operands.queries.shape[1]
  return n_rows, operands.keys.shape[0] // n_rows


def _runs(n_rows):
  """Returns (first row, number of blocks, rows of a block) of runs of blocks.

  The blocks of a run meet as many keys as its last one, and are compiled once.
  """
  n_whole, n_left = divmod(n_rows, _BLOCK)
  length = max(1, -(-n_whole // _MAX_RUNS))
  runs = [
    (_BLOCK * first, min(length, n_whole - first), _BLOCK)
    for first in range(0, n_whole, length)
  ]
  return runs + [(n_rows - n_left, 1, n_left)] * (n_left > 0)
