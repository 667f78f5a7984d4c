"""The costs of training steps, and the operations of a level by its factor.

Memory and operations are those of the compiled program; times are of programs
that take turns.
"""

from collections.abc import Callable, Iterable, Sequence
import gc
from typing import NamedTuple

import jax
from jax import numpy as jnp
import numpy as np
from trax import layers as tl
from trax import shapes

from trax_hourglass import layers
from trax_hourglass.kernels.local import attend, local_attention
from trax_hourglass.lab.benchmarks.operations import product_operations
from trax_hourglass.lab.benchmarks.steps import (
  Program,
  take_turns,
  training_step,
)


class Model(NamedTuple):
  """The model of a training step.

  Attributes:
    build: Function from a mode to the model.
    length: Tokens in a sequence.
    batch_size: Sequences in a batch.
  """

  build: Callable
  length: int
  batch_size: int


def step_costs(models: Iterable[tuple[str, Model]], repeats: int) -> dict:
  """Returns the costs of a step of each model, by name.

  Args:
    models: Names and models; each is built before the next one is drawn.
    repeats: How often each is timed.
  """
  programs, facts = {}, {}
  for name, model in models:
    programs[name] = Program(training_step, *model)
    facts[name] = {
      'length': model.length,
      'batch_size': model.batch_size,
      'operations': programs[name].facts['product_operations'],
      'memory': programs[name].facts['total_memory'],
      'temporary_memory': programs[name].facts['temporary_memory'],
      'weights': programs[name].facts['weights'],
    }
  seconds = take_turns(programs, repeats)
  del programs
  jax.clear_caches()
  gc.collect()  # Layers are in cycles, and with them weights.
  return {name: {**facts[name], 'seconds': seconds[name]} for name in facts}


def training_operations(model: Model, steps: int) -> int:
  """Returns the operations of the matrix products of a whole training.

  Nothing is allocated, compiled or run.
  """
  tokens = np.zeros((1, model.length), np.int32)
  batch = tokens, tokens, tokens.astype(np.float32)
  layer = tl.Serial(model.build('train'), tl.WeightedCategoryCrossEntropy())
  rng = layer.rng  # Made when first read: not within a trace.
  weights, state = layer.weights_and_state_signature(shapes.signature(batch))
  gradient = jax.value_and_grad(layer.pure_fn, argnums=1, has_aux=True)
  traced = jax.make_jaxpr(gradient)(batch, weights, state, rng)
  return product_operations(traced.jaxpr) * model.batch_size * steps


def level_operations(
  length: int = 6144,
  factors: Sequence[int] = (1, 2, 3, 4),
  d_model: int = 64,
  n_heads: int = 2,
  window: int = 64,
) -> list[dict]:
  """Returns XLA's count of the operations of a level, for each shorten factor.

  'full attention' and 'local attention' are a block of attention and
  feed-forward, in evaluation; 'full attention alone' and 'local attention
  alone' are the attention after its projections. XLA counts loops once, and
  none of these has any.

  Args:
    length: Tokens, a multiple of the factors.
    factors: Shorten factors.
    d_model: Width of the activations; d_ff is 4 x.
    n_heads: Number of attention heads.
    window: The window of local attention.
  """

  def alone(function):
    def operations(n):
      x = jax.ShapeDtypeStruct((n_heads, n, d_model // n_heads), jnp.float32)
      return _operations(function, x, x, x)

    return operations

  def full(queries, keys, values):
    n = queries.shape[1]
    return attend(queries, keys, values, jnp.tri(n, dtype=bool))

  def local(queries, keys, values):
    return local_attention(queries, keys, values, window)

  def block(attention):
    def operations(n):
      model = tl.Serial(
        tl.Residual(tl.LayerNorm(), attention()),
        tl.Residual(
          tl.LayerNorm(),
          tl.Dense(4 * d_model),
          tl.FastGelu(),
          tl.Dense(d_model),
        ),
      )
      x = shapes.ShapeDtype((1, n, d_model))
      weights, state = model.init(x)
      rng = jax.random.PRNGKey(0)
      return _operations(
        lambda weights, x: model.pure_fn(x, weights, state, rng)[0],
        weights,
        jax.ShapeDtypeStruct(x.shape, x.dtype),
      )

    return operations

  counted = {
    'full attention': block(
      lambda: tl.CausalAttention(d_model, n_heads=n_heads, mode='eval')
    ),
    'full attention alone': alone(full),
    'local attention': block(
      lambda: layers.LocalAttention(
        d_model, n_heads=n_heads, mode='eval', window=window
      )
    ),
    'local attention alone': alone(local),
  }
  return [
    {'variant': name, 'setting': k, 'operations': operations(length // k)}
    for name, operations in counted.items()
    for k in factors
  ]


def _operations(function, *arguments):
  compiled = jax.jit(function).lower(*arguments).compile()
  return compiled.cost_analysis()['flops']
