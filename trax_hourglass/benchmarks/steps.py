"""Compiled steps of models, and their timing in turns."""

import time

import jax
from jax import numpy as jnp
import numpy as np
from trax import layers as tl
from trax import optimizers, shapes

from trax_hourglass.benchmarks.contenders import VOCAB_SIZE
from trax_hourglass.benchmarks.operations import product_operations


class TrainingStep:
  """A model's training step: compiled, run once, and ready to be timed.

  Attributes:
    facts: What is known before a step is timed, by name; times in seconds,
      memory in bytes.
  """

  def __init__(self, build, length: int, batch_size: int):
    start = time.perf_counter()
    tokens = np.random.default_rng(0).integers(
      VOCAB_SIZE, size=(batch_size, length), dtype=np.int32
    )
    self._batch = tokens, tokens, np.ones(tokens.shape, np.float32)
    model = tl.Serial(build(), tl.CrossEntropyLoss())
    model.rng = jax.random.PRNGKey(0)
    model.init(shapes.signature(self._batch))
    adam = optimizers.Adam(1e-4)
    slots, opt_params = adam.tree_init(model.weights)

    def gradient(weights, state, rng):
      def loss(weights):
        return model.pure_fn(self._batch, weights, state, rng)

      return jax.value_and_grad(loss, has_aux=True)(weights)

    def step(weights, slots, state, rng, i):
      (loss, state), gradients = gradient(weights, state, rng)
      weights, slots, _ = adam.tree_update(
        i, gradients, weights, slots, opt_params
      )
      return weights, slots, state, loss

    self._carry = model.weights, slots, model.state
    self._rng, self._i = jax.random.PRNGKey(1), jnp.int32(1)
    built = time.perf_counter()
    arguments = *self._carry, self._rng, self._i
    traced = jax.jit(step, donate_argnums=(0, 1)).trace(*arguments)
    self._compiled = traced.lower().compile()
    compiled = time.perf_counter()
    flat, _ = tl.flatten_weights_and_state(model.weights, ())
    self.facts = {
      'weights': sum(int(np.prod(w.shape)) for w in flat),
      'build_and_initialise': built - start,
      'compile': compiled - built,
      'temporary_memory': self._compiled.memory_analysis().temp_size_in_bytes,
      'product_operations': product_operations(traced.jaxpr.jaxpr),
    }
    self()
    self.facts['to_end_of_first_step'] = time.perf_counter() - start

  def __call__(self) -> float:
    """Takes a step and returns how many seconds it took."""
    start = time.perf_counter()
    *carry, loss = self._compiled(*self._carry, self._rng, self._i)
    jax.block_until_ready((carry, loss))
    self._carry = carry
    return time.perf_counter() - start


def take_turns(steps: dict, repeats: int) -> dict[str, list[float]]:
  """Returns how many seconds each step took each time, by name."""
  seconds = {name: [] for name in steps}
  for _ in range(repeats):
    for name, step in steps.items():
      seconds[name].append(step())
  return seconds
