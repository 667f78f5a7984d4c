"""What Trax calls and JAX or Python has changed."""

import importlib
import inspect
import random
import sys
import warnings

import jax
import numpy as np
import pytest
import trax
from trax import fastmath, optimizers
from trax import layers as tl
from trax.data import tf_inputs
from trax.fastmath import jax as jax_backend
from trax.supervised import training

from trax_hourglass import runtime
from trax_hourglass.runtime import replacing


def test_xla_extension_says_what_to_do_instead():
  from trax import trainer

  with pytest.raises(AttributeError, match=r'jax\.distributed\.initialize'):
    trainer._make_jax_gpu_cluster(host_id=0, server_ip='host', n_hosts=2)
  with pytest.raises(ImportError):
    from jax.lib.xla_extension import ArrayImpl  # noqa: F401


def test_an_xla_extension_that_exists_is_left_alone():
  module = sys.modules['jax.lib.xla_extension']
  replacing.provide_xla_extension()
  assert sys.modules['jax.lib.xla_extension'] is module


@pytest.fixture
def unrepaired(monkeypatch):
  """Trax as it is after a plain `import trax`."""
  home = importlib.import_module('trax.fastmath.numpy')
  fresh_home = importlib.util.module_from_spec(home.__spec__)
  home.__spec__.loader.exec_module(fresh_home)
  for module in (home, fastmath):
    monkeypatch.setattr(module, 'tree_unflatten', fresh_home.tree_unflatten)
  monkeypatch.delitem(sys.modules, 'jax.lib.xla_extension')
  monkeypatch.delattr(jax.lib, 'xla_extension')
  monkeypatch.setattr(jax, 'host_count', lambda: 1)
  monkeypatch.setattr(tf_inputs, '_MAX_SKIP_EXAMPLES', 1e5)
  return fresh_home


def test_apply_repairs_a_trax_imported_before(unrepaired):
  with pytest.raises(TypeError):
    fastmath.tree_unflatten([7], (jax.numpy.zeros(2), ()), [None, ()])
  runtime.apply()
  home = importlib.import_module('trax.fastmath.numpy')
  assert fastmath.tree_unflatten is home.tree_unflatten
  assert fastmath.tree_unflatten is not unrepaired.tree_unflatten
  assert jax.host_count is jax.process_count
  assert hasattr(jax.lib, 'xla_extension')
  assert random.randint(0, tf_inputs._MAX_SKIP_EXAMPLES) <= 1e5


def test_applied_twice_changes_nothing():
  def repaired():
    return (
      fastmath.tree_unflatten,
      jax.lib.xla_extension,
      jax.host_count,
      jax_backend.JAX_BACKEND['cond'],
      jax_backend.JAX_BACKEND['random_get_prng'],
      jax_backend.JAX_BACKEND['stop_gradient'],
      inspect.stack,
      list(warnings.filters),
    )

  runtime.apply()
  once = repaired()
  runtime.apply()
  assert repaired() == once


def test_a_tree_unflatten_that_works_is_left_alone(monkeypatch):
  def works(flat, tree, copy_from_tree=None):
    del tree, copy_from_tree
    return flat[0], flat[1:]

  monkeypatch.setattr(fastmath, 'tree_unflatten', works)
  replacing.repair_tree_unflatten()
  assert fastmath.tree_unflatten is works


A, B, C = np.arange(2), np.zeros((3, 5)), np.ones(())


@pytest.mark.parametrize(
  ('flat', 'tree', 'copy_from_tree', 'expected', 'rest'),
  [
    ([1], A, None, 1, []),
    ([1, 2, 3], [A, (B,)], None, [1, (2,)], [3]),
    ((1, 2, 3), {'a': A, 'b': [B]}, None, {'a': 1, 'b': [2]}, (3,)),
    ([1, 2], (A, None, (), B), [None, ()], (1, None, (), 2), []),
    ([1, 2], ((), ((A, ()), [])), [()], ((), ((1, ()), [])), [2]),
    ([1], ({'cached': ()}, A), [(), {'cached': ()}], ({'cached': ()}, 1), []),
    ([1], (A, B), [B], (1, B), []),
    ([], (), None, (), []),
  ],
)
def test_tree_unflatten(flat, tree, copy_from_tree, expected, rest):
  new_tree, new_rest = fastmath.tree_unflatten(flat, tree, copy_from_tree)
  assert jax.tree.structure(new_tree) == jax.tree.structure(expected)
  assert all(
    map(np.array_equal, jax.tree.leaves(new_tree), jax.tree.leaves(expected))
  )
  assert new_rest == rest


def test_tree_unflatten_needs_enough_leaves():
  with pytest.raises(IndexError):
    fastmath.tree_unflatten([1], (A, B))


def test_loop_resumes(tmp_path):
  def batches():
    rng = np.random.default_rng(0)
    while True:
      tokens = rng.integers(7, size=(2, 5), dtype=np.int32)
      yield tokens, tokens, np.ones((2, 5), np.float32)

  def make_loop():
    return training.Loop(
      tl.Serial(tl.Embedding(7, 3), tl.Dense(7)),
      training.TrainTask(
        batches(),
        tl.WeightedCategoryCrossEntropy(),
        trax.optimizers.Adam(0.01),
        n_steps_per_checkpoint=3,
      ),
      output_dir=str(tmp_path),
    )

  loop = make_loop()
  with warnings.catch_warnings():
    warnings.simplefilter('error', UserWarning)
    loop.run(3)
  resumed = make_loop()
  assert resumed.step == 3
  slots = [loop._trainer_per_task[0].slots for loop in (loop, resumed)]
  weights = [loop.model.weights for loop in (loop, resumed)]
  for before, after in (slots, weights):
    assert jax.tree.all(jax.tree.map(np.array_equal, before, after))
  resumed.run(2)
  assert resumed.step == 5


def test_cond_takes_an_operand_for_each_branch():
  def either(x):
    return fastmath.cond(
      pred=x > 0,
      true_operand=x,
      true_fun=lambda x: x + 1,
      false_operand=2 * x,
      false_fun=lambda x: x - 1,
    )

  assert jax.jit(either)(3) == 4
  assert jax.jit(either)(-3) == -7
  assert fastmath.cond(True, lambda x: x, lambda x: -x, 5) == 5


def test_an_integer_stays_static():
  length = jax.jit(lambda: jax.numpy.arange(fastmath.stop_gradient(3)))()
  np.testing.assert_array_equal(length, [0, 1, 2])


def test_arrays_stay_on_their_host(monkeypatch):
  """As on the second of two hosts, where all but one device is another's."""
  x = jax.numpy.arange(3)

  def foreign(*_):
    pytest.fail('asked for the devices of all hosts')

  assert tl.on_cpu(x).device == jax.devices('cpu')[0]
  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  monkeypatch.setattr(jax, 'devices', foreign)
  kept = tl.on_cpu({'x': x})['x']
  assert kept.device == jax.local_devices(backend='cpu')[0]
  np.testing.assert_array_equal(kept, x)
  replacing.keep_on_own_cpu()
  assert not hasattr(tl.on_cpu.__wrapped__, '__wrapped__')


def test_norms_of_small_arrays_are_added_together():
  shapes = [(7,), (3, 5), (), (2, 70_000), (11,)]
  arrays = [
    jax.random.normal(jax.random.PRNGKey(i), shape)
    for i, shape in enumerate(shapes)
  ]
  arrays.append(arrays[0].astype(jax.numpy.bfloat16))
  plain, clipping = optimizers.Adam(), optimizers.Adam(clip_grad_norm=1.0)
  original = optimizers.Adam._l2_norm.__wrapped__
  expected = original(plain, arrays)
  np.testing.assert_allclose(plain._l2_norm(arrays), expected, rtol=1e-6)
  assert clipping._l2_norm(arrays) == expected

  def n_products(optimizer):
    return str(jax.make_jaxpr(optimizer._l2_norm)(arrays)).count('dot_general')

  assert (n_products(plain), n_products(clipping)) == (3, 6)


def test_the_updates_of_equal_shapes_are_traced_once(monkeypatch):
  traced = []
  adam = optimizers.Adam(0.1)
  update = adam.update.__func__

  def counted(self, step, gradients, *args):
    traced.append(gradients.shape)
    return update(self, step, gradients, *args)

  monkeypatch.setattr(type(adam), 'update', counted)
  weights = [jax.numpy.full(shape, 0.3) for shape in [(3,), (5, 2), (3,)]]
  slots, options = adam.tree_init(weights)

  def new_weights(tree_update):
    def step(i):
      return tree_update(adam, i, weights, weights, slots, options)[0]

    return jax.jit(step)(jax.numpy.int32(4))

  found = new_weights(type(adam).tree_update)
  assert traced == [(3,), (5, 2)]
  expected = new_weights(optimizers.Adam.tree_update.__wrapped__)
  assert traced[2:] == [(3,), (5, 2), (3,)]
  for x, y in zip(found, expected, strict=True):
    np.testing.assert_array_equal(x, y)
  assert '_update_and_check' not in vars(adam)


def test_a_serial_takes_an_empty_array_of_numpy():
  y = tl.Serial(tl.Relu())(np.zeros((0, 3), np.float32))
  assert y.shape == (0, 3)
  with pytest.raises(tl.base.LayerError, match='must be a tuple or list'):
    tl.Serial(tl.Add())(np.zeros((2, 3), np.float32))
