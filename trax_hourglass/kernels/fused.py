"""Attention by `jax.nn.dot_product_attention`, for cuDNN's kernel on a GPU.

The kernel keeps logits on the chip and can add a bias to them. Attention
without a location is a single call. With a location there is a call for each
block of rows: its bias holds the block's logits by distance, and the kernel
returns the gradient of this bias. Blocks are larger than those of `blockwise`,
as the bias is the only array of rows x keys. The backward pass recomputes both.

Names and shapes are those of `blockwise`.
"""

import functools

import jax
from jax import numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from trax_hourglass.errors import UserError
from trax_hourglass.kernels import blockwise, derivatives, row_blocks

IMPLEMENTATIONS = 'blockwise', 'auto', 'cudnn', 'xla'
BLOCK = 1024  # Rows of a block.


def attention(
  queries,
  keys,
  values,
  location=None,
  dropout=0.0,
  rng=None,
  implementation='blockwise',
  first=None,
):
  """Returns the outputs of `blockwise.attention`, computed as chosen.

  Args:
    queries: `(batch, heads, q, d_head)`.
    keys: `(batch, heads, k, d_head)`; without a location, `k` is `q`.
    values: Like `keys`.
    location: A `blockwise.Location`, or `None`.
    dropout: As for `blockwise.attention`; only `'blockwise'` takes any.
    rng: Random key, needed where `dropout` is above 0.
    implementation: `'blockwise'`; `'cudnn'`; `'auto'`, which is cuDNN's kernel
      where it can run and blockwise elsewhere; or `'xla'`, to compare with on
      any device: the code for cuDNN's kernel with XLA in the kernel's place.
    first: As for `blockwise.attention`; only `'blockwise'` takes it.

  Raises:
    UserError: If `'cudnn'` or `'xla'` cannot compute this.
  """
  if not queries.size:  # No sequences, or none but empty ones.
    return queries
  inputs = queries, keys, values, location
  refusal = implementation != 'blockwise' and _refusal(
    inputs, dropout, first, implementation
  )
  if implementation == 'blockwise' or (implementation == 'auto' and refusal):
    return blockwise.attention(*inputs, dropout, rng, first)
  if refusal:
    raise UserError(
      f'attention implementation {implementation!r}: {refusal}; expected '
      "'auto', which falls back to 'blockwise'"
    )
  return _attention(inputs, implementation)


def _refusal(inputs, dropout, first, implementation):
  """Returns why `implementation` cannot compute this, or `None`."""
  if dropout:
    return f'got dropout {dropout:g}, but it drops no attention weights'
  if first is not None:
    return 'got documents, but it does not keep them apart'
  if derivatives.is_forward():
    return 'it cannot be differentiated in forward mode'
  if implementation == 'xla':
    return None
  dtype = inputs[0].dtype
  if dtype not in (jnp.bfloat16, jnp.float16):
    return f'got {dtype} activations, but it takes bfloat16 and float16'
  if implementation == 'cudnn' and jax.default_backend() != 'gpu':
    return f'got {jax.default_backend()!r}, but it needs an NVIDIA GPU'
  try:  # JAX knows the conditions of its version, and of this GPU.
    jax.eval_shape(functools.partial(_gradients, 'cudnn'), inputs, inputs[0])
  except RuntimeError as e:
    return ' '.join(str(e).rstrip('.').split())
  return None


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _attention(inputs, implementation):
  y = _on_platform(_outputs, implementation, inputs)
  return checkpoint_name(y, blockwise.OUTPUTS)


def _forward(inputs, implementation):
  return _attention(inputs, implementation), inputs


def _backward(implementation, inputs, dy):
  return (_on_platform(_gradients, implementation, inputs, dy),)


_attention.defvjp(_forward, _backward)


def _on_platform(function, implementation, *args):
  if implementation != 'auto':
    return function(implementation, *args)
  return jax.lax.platform_dependent(
    *args,
    cuda=functools.partial(function, 'cudnn'),
    default=functools.partial(function, 'blockwise'),
  )


def _gradients(implementation, inputs, dy):
  _, pull_back = jax.vjp(functools.partial(_outputs, implementation), inputs)
  return pull_back(dy)[0]


def _outputs(implementation, inputs):
  if implementation == 'blockwise':
    return blockwise.attention(*inputs)
  *arrays, location = inputs
  if location is None:
    return _causal(implementation, *arrays)
  return _in_blocks(implementation, inputs)


def _causal(implementation, *arrays):
  n, d_head = arrays[0].shape[2:]
  flat = (row_blocks.pad(x.reshape(-1, n, d_head), 0, n % 2) for x in arrays)
  y = _each_head_alone(*flat, is_causal=True, implementation=implementation)
  return y[:, :n].reshape(arrays[0].shape)


def _in_blocks(implementation, inputs):
  n_queries, dtype = inputs[0].shape[2], inputs[2].dtype
  operands = _even(row_blocks.operands(inputs))
  heads, batch, n_phases, _, d_head = operands.queries.shape
  operands = row_blocks.with_later_distances(operands, BLOCK)
  # The gradients of blocks are summed in float32.
  operands = jax.tree.map(lambda x: x.astype(jnp.float32), operands)

  def run_block(carry, block):
    @jax.checkpoint
    def attend(operands):
      located = block.rows(operands.located).astype(dtype)
      window = block.window(operands.distances).astype(dtype)
      bias = jnp.einsum('hbpid,hpnd->hbpin', located, window)
      bias = row_blocks.distance_to_key(bias, block.step)
      shape = n_phases * block.size, block.n_keys
      visible = jnp.broadcast_to(block.visible(), (n_phases, *bias.shape[-2:]))
      y = _each_head_alone(
        block.rows(operands.queries)
        .astype(dtype)
        .reshape(-1, shape[0], d_head),
        block.keys(operands.keys).astype(dtype).reshape(-1, shape[1], d_head),
        block.keys(operands.values).astype(dtype).reshape(-1, shape[1], d_head),
        bias=bias.reshape(-1, 1, *shape),
        mask=visible.reshape(1, 1, *shape),
        scale=1.0,  # Queries are scaled.
        implementation=implementation,
      )
      return y.reshape(heads, batch, n_phases, block.size, d_head)

    return carry, attend(operands)

  _, y = row_blocks.each_block(run_block, None, operands, BLOCK)
  return row_blocks.merge(y)[:, :, :n_queries]


def _each_head_alone(*arrays, **options):
  """Returns JAX's attention of arrays `(n, length, d_head)`, one for each head.

  With each head as a sequence of its own, the arrays need not be transposed,
  and a sharded batch stays sharded.
  """
  arrays = (x[:, :, None] for x in arrays)
  return jax.nn.dot_product_attention(*arrays, **options)[:, :, 0]


def _even(operands):
  """Returns operands padded to even lengths, which cuDNN's gradient needs."""
  n_rows = operands.queries.shape[-2]
  n = n_rows % 2
  step = n * (operands.keys.shape[-2] // n_rows)
  return row_blocks.Operands(
    queries=row_blocks.pad(operands.queries, 0, n),
    keys=row_blocks.pad(operands.keys, 0, step),
    values=row_blocks.pad(operands.values, 0, step),
    located=row_blocks.pad(operands.located, 0, n),
    # The farthest past, which comes first.
    distances=row_blocks.pad(operands.distances, step, 0),
  )
