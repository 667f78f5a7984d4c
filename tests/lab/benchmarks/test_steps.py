import jax
from jax import numpy as jnp
import numpy as np
import pytest
from trax import layers as tl

from trax_hourglass.lab.benchmarks import steps

VOCAB_SIZE, D_MODEL, LENGTH, BATCH = 256, 5, 7, 3
N_WEIGHTS = 2 * VOCAB_SIZE * D_MODEL + VOCAB_SIZE


def build(mode):
  return tl.Serial(
    tl.Embedding(VOCAB_SIZE, D_MODEL),
    tl.Dropout(rate=0.5, mode=mode),
    tl.Dense(VOCAB_SIZE),
  )


@pytest.fixture(scope='module')
def programs():
  with pytest.MonkeyPatch.context() as monkeypatch:
    # Other tests need them.
    monkeypatch.setattr(jax, 'clear_caches', lambda: None)
    return {
      what: steps.Program(work, build, LENGTH, BATCH)
      for what, work in steps.WORKS.items()
    }


@pytest.mark.parametrize('what', steps.WORKS)
def test_counts_weights_programs_and_products(programs, what):
  facts = programs[what].facts
  assert facts['weights'] == N_WEIGHTS
  assert facts['compilations'] > 0
  product = 2 * BATCH * LENGTH * D_MODEL * VOCAB_SIZE
  # Trax's Adam takes the norms of gradients and weights.
  expected = {
    'step': 3 * product + 4 * N_WEIGHTS,
    'gradient': 3 * product,
    'forward': product,
  }
  assert facts['product_operations'] == expected[what]


@pytest.mark.parametrize('what', steps.WORKS)
def test_compiles_nothing_more_later(programs, what):
  assert programs[what]() > 0 < programs[what]()
  assert programs[what].facts['later_compilations'] == 0


def test_a_step_keeps_weights_and_slots_where_they_are(programs):
  def not_temporary(what):
    facts = programs[what].facts
    return facts['total_memory'] - facts['temporary_memory']

  n_bytes = 4 * N_WEIGHTS
  assert 3 * n_bytes < not_temporary('step') < 3.5 * n_bytes
  assert 2 * n_bytes < not_temporary('gradient') < 2.5 * n_bytes
  assert n_bytes < not_temporary('forward') < 1.5 * n_bytes


def test_forward_is_in_mode_eval():
  modes = []

  def recording(mode):
    modes.append(mode)
    return build(mode)

  batch = np.ones((1, 2), int), np.ones((1, 2), int), np.ones((1, 2))
  for work in steps.WORKS.values():
    work(recording, batch)
  assert modes == ['train', 'train', 'eval']


def test_a_step_replaces_weights_slots_and_state():
  tokens = jnp.arange(6).reshape(2, 3)
  batch = tokens, tokens, jnp.ones(tokens.shape)
  function, arguments, n_replaced, _ = steps.training_step(build, batch)
  *new, loss = jax.jit(function)(*arguments)
  old = arguments[:n_replaced]
  assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, list(old))
  moved = jax.tree.map(lambda x, y: jnp.any(x != y), new[:2], list(old[:2]))
  assert all(jax.tree.leaves(moved))
  assert abs(loss - np.log(VOCAB_SIZE)) < 1


def test_counts_what_is_compiled():
  f = jax.jit(lambda x: 3 * x + 1)
  x = jnp.ones(11)
  with steps.compilations() as compiled:
    f(x)
    assert len(compiled) == 1
    f(x)
  f(jnp.ones(13))
  assert len(compiled) == 1


def test_takes_turns():
  order = []

  def contender(name):
    order.append(name)
    return float(len(order))

  seconds = steps.take_turns(
    {name: lambda name=name: contender(name) for name in 'abc'}, repeats=2
  )
  assert seconds == {'a': [1, 4], 'b': [2, 5], 'c': [3, 6]}
  assert order == list('abcabc')
