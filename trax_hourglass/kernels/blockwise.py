"""Exact causal attention in blocks of rows, in memory linear in the length.

A block of rows meets only the keys up to those of its last row, so nearly half
of all pairs are never computed, and its logits are freed before the next block.
The backward pass computes them again, from the logarithm of each row's sum of
exponentials: all that is kept, with the inputs and the output.

The three cases of `alignment` are one here. A row is a group of queries, which
sees the `step` keys of its own group and those of all earlier groups. In
upsampling a group has several queries, its `phases`, which see the same keys at
different distances.

Source: arXiv:1901.02860, App. B (the shift); arXiv:2205.14135, App. B (the
backward pass).
"""

import functools
import typing

import jax
from jax import numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from trax_hourglass.kernels import (
  branches,
  derivatives,
  random_masks,
  reductions,
  row_blocks,
)
from trax_hourglass.kernels.row_blocks import product, transposed

# The name of outputs and logarithms in policies of `jax.checkpoint`.
OUTPUTS = 'attention outputs'
_MOST_LOGITS = 2**20  # That a CPU computes at once: they fit its cache.


class Location(typing.NamedTuple):
  """How logits depend on distance, as in Transformer-XL."""

  distances: jax.Array  # R for `Alignment.distances`, (heads, n, d_head).
  context_bias: jax.Array  # u, (1, heads, 1, d_head).
  location_bias: jax.Array  # v, (1, heads, 1, d_head).


@functools.partial(derivatives.jit, static_argnames='dropout')
def attention(
  queries, keys, values, location=None, dropout=0.0, rng=None, first=None
):
  """Returns softmax(logits / sqrt(d_head)) V over visible keys, like `queries`.

  Logits are Q K^T, or with a location (Q + u) K^T + (Q + v) R^T.

  Args:
    queries: `(batch, heads, q, d_head)`.
    keys: `(batch, heads, k, d_head)`; `q` divides `k` or `k` divides `q`.
    values: `(batch, heads, k, d_head)`.
    location: A `Location`, or `None`.
    dropout: Share of the attention weights dropped, exact to float32.
    rng: Random key, needed where `dropout` is above 0.
    first: The first row of each row's document, whose keys are the first that
      the row sees, `(batch, heads, rows)`; `None` if there is one document.

  Raises:
    UserError: If neither `q` nor `k` is a multiple of the other.
  """
  inputs = queries, keys, values, location
  rng = rng if dropout else None
  if derivatives.is_forward():
    return _forward(inputs, rng, first, dropout)[0]
  return _attention(inputs, rng, first, dropout)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _attention(inputs, rng, first, dropout):
  return _forward(inputs, rng, first, dropout)[0]


def _forward(inputs, rng, first, dropout):
  values = inputs[2]
  operands = row_blocks.operands(inputs)
  if first is not None:
    first = first.swapaxes(0, 1)
  y, log_sums = _each_head(_head_forward, dropout, operands, rng, first)
  y = row_blocks.merge(y).astype(values.dtype)
  y, log_sums = checkpoint_name((y, log_sums), OUTPUTS)
  return y, (inputs, rng, first, y, log_sums)


def _backward(dropout, residuals, dy):
  inputs, rng, first, y, log_sums = residuals
  operands, pull_back = jax.vjp(row_blocks.operands, inputs)
  n_phases = operands.queries.shape[2]
  # The term that softmax subtracts from the gradients of a row's logits.
  mean = jnp.sum(y.astype(jnp.float32) * dy, axis=-1, keepdims=True)
  gradients = _each_head(
    _head_backward,
    dropout,
    operands,
    rng,
    first,
    row_blocks.split(dy, n_phases),
    log_sums,
    row_blocks.split(mean, n_phases),
  )
  if operands.distances is not None:
    summed = jnp.sum(gradients.distances, axis=1)
    gradients = gradients._replace(distances=summed)
  gradients = jax.tree.map(lambda g, x: g.astype(x.dtype), gradients, operands)
  return *pull_back(gradients), None, None


_attention.defvjp(_forward, _backward)


def _each_head(head_fn, dropout, operands, rng, *arrays):
  """Returns the outputs of `head_fn` for all heads, `(heads, batch, ...)`.

  An accelerator runs all heads of all sequences at once, a CPU as many as its
  cache holds the logits of, in smaller blocks where a row sees many keys.

  Args:
    head_fn: Function from the `Operands` of a head of one sequence, a random
      key, arrays, `dropout` and the `size` of blocks to a tree.
    dropout: As for `attention`.
    operands: `Operands` of all heads.
    rng: Random key, or `None`.
    *arrays: Further arrays, `(heads, batch, ...)`, or `None`.
  """
  heads, batch, n_phases, rows, _ = operands.queries.shape
  keys = None if rng is None else random_masks.words(rng, heads, batch)
  size = row_blocks.BLOCK
  n_logits = n_phases * min(rows, size) * operands.keys.shape[2]

  def run(size, map_heads, map_batch):
    run_head = functools.partial(head_fn, dropout=dropout, size=size)
    return functools.partial(_map_heads, run_head, map_heads, map_batch)

  run_at_once = run(size, _at_once, _at_once)
  if heads * batch * n_logits <= _MOST_LOGITS:
    return run_at_once(operands, keys, *arrays)
  if n_logits > _MOST_LOGITS // 4:
    size //= 2
  map_batch = _at_once if batch * n_logits <= _MOST_LOGITS else jax.lax.map
  return jax.lax.platform_dependent(
    operands,
    keys,
    *arrays,
    cpu=run(size, jax.lax.map, map_batch),
    default=run_at_once,
  )


def _map_heads(head_fn, map_heads, map_batch, *args):
  def run_head(args):
    operands, *others = args

    def run_sequence(args):
      sequence, key, *arrays = args
      sequence = sequence._replace(distances=operands.distances)
      return head_fn(sequence, key, *arrays)

    batched = operands._replace(distances=None)
    return map_batch(run_sequence, (batched, *others))

  return map_heads(run_head, args)


def _at_once(f, args):
  """Like `jax.lax.map`, for all elements at once."""
  if jax.tree.leaves(args)[0].shape[0] > 1:
    return jax.vmap(f)(args)
  # A vmap over a single element turns slices of blocks into gathers, scatters.
  only = jax.tree.map(lambda x: x[0], args)
  return jax.tree.map(lambda x: x[None], f(only))


@functools.partial(jax.jit, static_argnames=('dropout', 'size'))
def _head_forward(operands, key, first, dropout, size):
  """Returns outputs, `(phases, rows, d_head)`, and each row's log sum."""
  operands = row_blocks.with_later_distances(operands, size)
  transposed_operands = operands.transposed()

  def run_block(carry, block):
    logits = block.logits(operands, transposed_operands, first)
    largest = reductions.largest(logits)
    weights = jnp.exp(logits - largest)
    total = reductions.total(weights)
    values = block.keys(operands.values)
    kept = _drop(weights, key, block, dropout).astype(values.dtype)
    y = product('pij,jd->pid', kept, values)
    return carry, (y / total, largest + jnp.log(total))

  _, outputs = row_blocks.each_block(run_block, None, operands, size)
  return outputs


@functools.partial(jax.jit, static_argnames=('dropout', 'size'))
def _head_backward(operands, key, first, dy, log_sums, mean, dropout, size):
  """Returns the gradients of a head's `Operands`.

  Args:
    operands: `Operands` of a head.
    key: Random key, or `None`.
    first: As for `attention`, of a head, `(rows,)`, or `None`.
    dy: Gradient of the output, `(phases, rows, d_head)`.
    log_sums: As from `_head_forward`.
    mean: Mean gradient of each row's weights, by these weights, like
      `log_sums`.
    dropout: As for `attention`.
    size: Rows of a block.
  """
  n_distances = operands.keys.shape[0]
  operands = row_blocks.with_later_distances(operands, size)
  _, keys, values, _, distances = operands
  transposed_operands = operands.transposed()
  queries_t, _, values_t, located_t, _ = transposed_operands
  dy_t = transposed(dy)

  def run_block(sums, block):
    logits = block.logits(operands, transposed_operands, first)
    weights = jnp.exp(logits - block.rows(log_sums))
    kept = _drop(weights, key, block, dropout)
    d_kept = product('pid,dj->pij', block.rows(dy), block.keys(values_t, -1))
    d_logits = kept * d_kept - weights * block.rows(mean)
    kept, d_logits = kept.astype(values.dtype), d_logits.astype(values.dtype)
    d_keys = product('pdi,pij->dj', block.rows(queries_t, -1), d_logits)
    d_values = product('pdi,pij->dj', block.rows(dy_t, -1), kept)
    sums = sums._replace(
      keys=sums.keys.at[:, : block.n_keys].add(d_keys),
      values=sums.values.at[:, : block.n_keys].add(d_values),
    )
    d_queries = product('pij,jd->pid', d_logits, block.keys(keys))
    if distances is None:
      return sums, (d_queries, None)
    d_logits = row_blocks.key_to_distance(d_logits, block.step)
    d_window = product('pdi,pin->pdn', block.rows(located_t, -1), d_logits)
    d_located = product('pin,pnd->pid', d_logits, block.window(distances))
    d_distances = block.add_to_window(sums.distances, d_window)
    return sums._replace(distances=d_distances), (d_queries, d_located)

  # Summed as (..., d_head, keys), which a CPU multiplies twice as fast.
  sums = jax.tree.map(
    lambda x: jnp.zeros(x.shape, jnp.float32),
    transposed_operands._replace(queries=None, located=None),
  )
  sums, (d_queries, d_located) = row_blocks.each_block(
    run_block, sums, operands, size
  )
  sums = sums.transposed()
  if distances is not None:
    sums = sums._replace(distances=sums.distances[:, :n_distances])
  return sums._replace(queries=d_queries, located=d_located)


def _drop(weights, key, block, dropout):
  """Drops a share of a block's weights.

  The mask depends on rows and keys alone: it is the same in the backward pass.
  """
  if not dropout:
    return weights
  n_phases, size, n_keys = weights.shape
  phase = jnp.arange(n_phases)[:, None, None]
  row = phase * block.n_rows + block.start + jnp.arange(size)[:, None]
  keep_rows = functools.partial(
    random_masks.keep_rows, dropout=dropout, n=n_keys
  )
  kept = branches.once(keep_rows, key, row.astype(jnp.uint32))
  return jnp.where(kept, weights / (1 - dropout), 0)
