"""Steps of the contenders: compiled, and timed in turns."""

from collections.abc import Callable, Iterator
import contextlib
import time
from typing import NamedTuple

import jax
from jax import numpy as jnp
import numpy as np
from trax import layers as tl
from trax import optimizers, shapes

from trax_hourglass.lab.benchmarks.contenders import VOCAB_SIZE
from trax_hourglass.lab.benchmarks.operations import product_operations


class Work(NamedTuple):
  """A function of a model, and its first arguments.

  Attributes:
    function: To be compiled; its outputs begin with what replaces the first
      `n_replaced` arguments in the next call.
    arguments: Of the first call; weights come first.
    n_replaced: How many arguments an output replaces.
    donated: Which arguments' memory the outputs may take.
  """

  function: Callable
  arguments: tuple
  n_replaced: int = 0
  donated: tuple[int, ...] = ()


def training_step(build: Callable, batch: tuple) -> Work:
  """Returns gradient and Adam, with weights and slots donated."""
  model, rng = _initialised(build, 'train', batch)
  adam = optimizers.Adam(1e-4)
  slots, opt_params = adam.tree_init(model.weights)

  def step(weights, slots, state, batch, rng, i):
    loss, state, gradients = _gradient(model, weights, state, batch, rng)
    weights, slots, _ = adam.tree_update(
      i, gradients, weights, slots, opt_params
    )
    return weights, slots, state, loss

  arguments = model.weights, slots, model.state, batch, rng, jnp.int32(1)
  return Work(step, arguments, n_replaced=3, donated=(0, 1))


def gradient(build: Callable, batch: tuple) -> Work:
  """Returns the gradient alone: forward and backward pass."""
  model, rng = _initialised(build, 'train', batch)

  def function(weights, state, batch, rng):
    return _gradient(model, weights, state, batch, rng)

  return Work(function, (model.weights, model.state, batch, rng))


def forward(build: Callable, batch: tuple) -> Work:
  """Returns the loss in mode `'eval'`."""
  model, rng = _initialised(build, 'eval', batch)

  def function(weights, state, batch, rng):
    loss, _ = model.pure_fn(batch, weights, state, rng)
    return loss

  return Work(function, (model.weights, model.state, batch, rng))


WORKS = {'step': training_step, 'gradient': gradient, 'forward': forward}


# Of the first time: the last one is the step itself.
PARTS = ('initialise', 'trace', 'compile', 'run')


class Program:
  """A model's work: compiled, done once, and ready to be timed.

  Attributes:
    facts: Its measurements by name; times in seconds, memory in bytes. Those of
      the first time are of the clock, and by `PARTS` of the CPU.
  """

  def __init__(
    self, work: Callable, build: Callable, length: int, batch_size: int
  ):
    """Compiles.

    Args:
      work: One of `WORKS`.
      build: Function from a mode to the model.
      length: Tokens in a sequence.
      batch_size: Sequences in a batch.
    """
    # Else programs of an earlier model's initialisation would be reused.
    jax.clear_caches()
    start, parts = time.perf_counter(), _Parts()
    with compilations() as compiled:
      function, arguments, self._n_replaced, donated = work(
        build, _batch(length, batch_size)
      )
      self._arguments = arguments
      parts.end('initialise')
      built = time.perf_counter()
      traced = jax.jit(function, donate_argnums=donated).trace(*arguments)
      lowered = traced.lower()
      parts.end('trace')
      self._compiled = lowered.compile()
      parts.end('compile')
      self.facts = {
        'weights': _size(arguments[0]),
        'build_and_initialise': built - start,
        'compile': time.perf_counter() - built,
        **_memory(self._compiled),
        'product_operations': product_operations(traced.jaxpr.jaxpr),
        'later_compilations': 0,
      }
      self()
    parts.end('run')
    self.facts['first_time_cpu'] = parts.seconds
    self.facts['to_end_of_first_step'] = time.perf_counter() - start
    self.facts['compilations'] = len(compiled)
    self.facts['later_compilations'] = 0

  def __call__(self) -> float:
    """Does the work and returns the seconds that it took."""
    with compilations() as compiled:
      start = time.perf_counter()
      outputs = jax.block_until_ready(self._compiled(*self._arguments))
      seconds = time.perf_counter() - start
    if self._n_replaced:
      n = self._n_replaced
      self._arguments = *outputs[:n], *self._arguments[n:]
    self.facts['later_compilations'] += len(compiled)
    return seconds


class _Parts:
  """Takes the CPU's seconds, of user and system in all threads, by part."""

  def __init__(self):
    self.seconds = {}
    self._start = time.process_time()

  def end(self, part):
    now = time.process_time()
    self.seconds[part], self._start = now - self._start, now


def take_turns(contenders: dict, repeats: int) -> dict[str, list[float]]:
  """Returns the seconds that each took each time, by name."""
  seconds = {name: [] for name in contenders}
  for _ in range(repeats):
    for name, contender in contenders.items():
      seconds[name].append(contender())
  return seconds


@contextlib.contextmanager
def compiled_anew() -> Iterator[None]:
  """Makes XLA compile what it has compiled before, so that it can be timed."""
  old = jax.config.jax_enable_compilation_cache
  jax.config.update('jax_enable_compilation_cache', False)
  try:
    yield
  finally:
    jax.config.update('jax_enable_compilation_cache', old)


@contextlib.contextmanager
def compilations() -> Iterator[list[float]]:
  """Yields a list that gets the seconds of each program that XLA compiles."""
  compiled = []

  def listen(event, seconds, **_):
    if event == '/jax/core/compile/backend_compile_duration':
      compiled.append(seconds)

  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    yield compiled
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)


def _initialised(build, mode, batch):
  """Returns the model with its loss, and a random key."""
  model = tl.Serial(build(mode), tl.WeightedCategoryCrossEntropy())
  model.rng = jax.random.PRNGKey(0)
  model.init(shapes.signature(batch))
  return model, jax.random.PRNGKey(1)


def _gradient(model, weights, state, batch, rng):
  """Returns loss, state and gradients."""

  def loss(weights):
    return model.pure_fn(batch, weights, state, rng)

  (loss, state), gradients = jax.value_and_grad(loss, has_aux=True)(weights)
  return loss, state, gradients


def _batch(length, batch_size):
  tokens = np.random.default_rng(0).integers(
    VOCAB_SIZE, size=(batch_size, length), dtype=np.int32
  )
  return jax.device_put((tokens, tokens, np.ones(tokens.shape, np.float32)))


def _size(weights):
  flat, _ = tl.flatten_weights_and_state(weights, ())
  return sum(int(np.prod(w.shape)) for w in flat)


def _memory(compiled):
  """Returns bytes: XLA's temporary ones, and with arguments and outputs."""
  memory = compiled.memory_analysis()
  total = (
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    - memory.alias_size_in_bytes  # Outputs that took a donated argument's.
    + memory.temp_size_in_bytes
  )
  return {'temporary_memory': memory.temp_size_in_bytes, 'total_memory': total}
