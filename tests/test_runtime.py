"""Trax on today's JAX: every repair, where it is needed and where it is not."""

import importlib
import inspect
import os
import random
import subprocess
import sys
import warnings

import jax
import numpy as np
import pytest
import trax
from trax import fastmath, shapes
from trax import layers as tl
from trax.data import tf_inputs
from trax.fastmath import jax as jax_backend
from trax.supervised import training

from trax_hourglass import runtime


def run_python(code):
  """Runs code in a fresh process, with a user's environment."""
  environment = {
    name: value
    for name, value in os.environ.items()
    if name != 'TF_CPP_MIN_LOG_LEVEL'
  }
  return subprocess.run(
    [sys.executable, '-c', code],
    env=environment,
    capture_output=True,
    text=True,
    check=False,
  )


def test_import_is_quiet_fast_and_leaves_nothing_behind():
  result = run_python("""
import inspect

n_calls = 0
original = inspect.stack, inspect.getframeinfo

def counting_stack(context=1):
  global n_calls
  n_calls += 1
  return original[0](context)

inspect.stack = counting_stack
import trax_hourglass
assert n_calls == 0, n_calls
assert (inspect.stack, inspect.getframeinfo) == (counting_stack, original[1])

import gym_notices.notices
assert gym_notices.notices.notices

from jax._src import xla_bridge
assert not xla_bridge._backends, 'the import started a JAX backend'

import trax.trainer
assert callable(trax.trainer.main)
""")
  assert (result.stdout, result.stderr, result.returncode) == ('', '', 0)


@pytest.mark.slow
def test_trax_may_be_imported_first():
  result = run_python("""
import trax
import trax_hourglass
import numpy as np
tree = (np.zeros(2), ())
assert trax.fastmath.tree_unflatten([7], tree, [()]) == ((7, ()), [])
import trax.trainer
""")
  assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_import_costs_at_most_two_and_a_half_seconds():
  # CPU time, since other processes may share the machine.
  code = """
import time
import jax, tensorflow
start = time.process_time()
import trax_hourglass
print(time.process_time() - start)
"""
  seconds = []
  while len(seconds) < 3 and min(seconds, default=9) > 2.5:
    seconds.append(float(run_python(code).stdout))
  assert min(seconds) <= 2.5


LIBRARY_FUSIONS = '--xla_cpu_experimental_ynn_fusion_type='


@pytest.mark.parametrize(
  ('jaxlib', 'flags', 'expected'),
  [
    ('0.10.2', '', LIBRARY_FUSIONS),
    ('0.12.0.1', '--other=1', f'--other=1 {LIBRARY_FUSIONS}'),
    ('0.10.2', LIBRARY_FUSIONS + 'DOT', LIBRARY_FUSIONS + 'DOT'),
    ('0.11.0', '--other=1', '--other=1'),
  ],
)
def test_no_library_fusions(monkeypatch, jaxlib, flags, expected):
  monkeypatch.setenv('XLA_FLAGS', flags)
  monkeypatch.setattr(runtime.metadata, 'version', lambda _: jaxlib)
  runtime.no_library_fusions()
  runtime.no_library_fusions()
  assert os.environ['XLA_FLAGS'] == expected


def test_xla_knows_the_flag_of_library_fusions(monkeypatch):
  monkeypatch.setenv('XLA_FLAGS', '')
  runtime.no_library_fusions()
  assert os.environ['XLA_FLAGS'] == LIBRARY_FUSIONS
  result = run_python('import jax; print(jax.jit(lambda x: 2 * x)(3))')
  assert (result.stdout, result.stderr) == ('6\n', '')


def test_assert_shape_names_file_and_line():
  with pytest.raises(tl.LayerError) as error:
    tl.SplitIntoHeads(3)(np.zeros(3))
  place = str(error.value).split('Defined at ')[1].split()[0]
  file, line = place.rsplit(':', 1)
  with open(file) as source:
    assert source.readlines()[int(line) - 1].startswith('@assert_shape(')


ORIGINAL_STACK = inspect.stack


def test_cheap_stack_agrees_with_inspect():
  with runtime.cheap_stack():
    cheap, dear = inspect.stack(), ORIGINAL_STACK()
    info = inspect.getframeinfo(cheap[1].frame)
  assert [frame.frame for frame in cheap] == [frame.frame for frame in dear]
  assert [frame[1:4] for frame in cheap] == [frame[1:4] for frame in dear]
  assert info[:3] == inspect.getframeinfo(dear[1].frame)[:3]
  assert inspect.stack is ORIGINAL_STACK


def test_cheap_stack_is_undone_after_an_error():
  with pytest.raises(ImportError), runtime.cheap_stack():
    raise ImportError
  assert inspect.stack is ORIGINAL_STACK


NOTICE = (
  b'WARNING: All log messages before absl::InitializeLog() is called are '
  b'written to STDERR\n'
  b'I0000 00:00:1.2    3 cudart_stub.cc:31] Could not find cuda drivers\n'
)


def test_only_notices_are_held_back(monkeypatch, capfd):
  monkeypatch.setenv('TF_CPP_MIN_LOG_LEVEL', '2')
  with runtime.no_tensorflow_notices():
    os.write(2, NOTICE + b'E0000 00:00:1.2    3 x.cc:1] a real error\nIt is.\n')
  assert capfd.readouterr().err == (
    'E0000 00:00:1.2    3 x.cc:1] a real error\nIt is.\n'
  )


def test_text_before_an_error_is_not_lost(monkeypatch, capfd):
  monkeypatch.setenv('TF_CPP_MIN_LOG_LEVEL', '2')
  with pytest.raises(ImportError), runtime.no_tensorflow_notices():
    os.write(2, b'why it failed\n')
    raise ImportError
  assert capfd.readouterr().err == 'why it failed\n'


def test_a_user_may_ask_for_the_notices(monkeypatch, capfd):
  monkeypatch.setenv('TF_CPP_MIN_LOG_LEVEL', '0')
  with runtime.no_tensorflow_notices():
    os.write(2, NOTICE)
  assert capfd.readouterr().err == NOTICE.decode()
  assert os.environ['TF_CPP_MIN_LOG_LEVEL'] == '0'


def test_xla_extension_says_what_to_do_instead():
  from trax import trainer

  with pytest.raises(AttributeError, match=r'jax\.distributed\.initialize'):
    trainer._make_jax_gpu_cluster(host_id=0, server_ip='host', n_hosts=2)
  with pytest.raises(ImportError):
    from jax.lib.xla_extension import ArrayImpl  # noqa: F401


def test_an_xla_extension_that_exists_is_left_alone():
  module = sys.modules['jax.lib.xla_extension']
  runtime.provide_xla_extension()
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
  runtime.repair_tree_unflatten()
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
  new_tree, new_rest = runtime._tree_unflatten(flat, tree, copy_from_tree)
  assert jax.tree.structure(new_tree) == jax.tree.structure(expected)
  assert all(
    map(np.array_equal, jax.tree.leaves(new_tree), jax.tree.leaves(expected))
  )
  assert new_rest == rest


def test_tree_unflatten_needs_enough_leaves():
  with pytest.raises(IndexError):
    runtime._tree_unflatten([1], (A, B))


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


def test_a_nested_layer_is_traced_once():
  calls = []

  def halves(x):
    calls.append(x.shape)
    return x[:, ::2], x[:, 1::2]

  layer = tl.Fn('Halves', halves, n_out=2)
  for _ in range(5):
    layer = tl.Serial(layer)
  model = tl.Serial(
    tl.Dense(6), layer, tl.Parallel(tl.Dense(4), tl.Serial(tl.Dense(5)))
  )
  signature = shapes.ShapeDtype((2, 7), np.float32)
  model.init(signature)
  assert calls == [(2, 6)]
  outputs = model(np.zeros((2, 7), np.float32))
  assert model.output_signature(signature) == shapes.signature(outputs)
  other = shapes.ShapeDtype((3, 7), np.float32)
  assert [s.shape for s in model.output_signature(other)] == [(3, 4), (3, 5)]


def test_infer_shapes_once_may_run_again():
  before = tl.base.Layer._forward_abstract
  runtime.infer_shapes_once()
  assert tl.base.Layer._forward_abstract is before


@pytest.mark.parametrize('seed', [0, 7, 2**31, 2**32 - 1, np.int32(7), -1])
def test_cheap_keys_are_those_of_jax(seed):
  expected = jax.random.PRNGKey(seed)
  key = fastmath.random.get_prng(seed)
  assert key.dtype == expected.dtype
  np.testing.assert_array_equal(key, expected)
  np.testing.assert_array_equal(
    fastmath.random.split(key, 3), jax.random.split(expected, 3)
  )


def test_other_keys_are_made_by_jax(monkeypatch):
  backend = jax_backend.JAX_BACKEND
  monkeypatch.setitem(backend, 'random_get_prng', jax.random.PRNGKey)
  monkeypatch.setitem(backend, 'random_split', jax.random.split)
  runtime.cheap_keys()
  before = jax.config.jax_default_prng_impl
  jax.config.update('jax_default_prng_impl', 'rbg')
  try:
    key = fastmath.random.get_prng(7)
    assert key.shape == (4,)
    assert fastmath.random.split(key).shape == (2, 4)
  finally:
    jax.config.update('jax_default_prng_impl', before)
  assert fastmath.random.split(jax.random.key(7)).shape == (2,)


def test_an_old_way_to_split_is_kept():
  with jax.threefry_partitionable(False):
    np.testing.assert_array_equal(
      fastmath.random.split(jax.random.PRNGKey(7)),
      jax.random.split(jax.random.PRNGKey(7)),
    )


def test_no_key_of_a_trace_stays_in_a_layer():
  layer = tl.Serial(tl.Dense(3), tl.Dropout(0.5))
  layer.weights_and_state_signature(shapes.ShapeDtype((2, 3), np.float32))
  for sublayer in layer.sublayers:
    sublayer._rng = None
  jax.eval_shape(lambda: [sublayer.rng for sublayer in layer.sublayers])
  for sublayer in layer.sublayers:
    assert isinstance(sublayer.rng, np.ndarray)


def test_tensorflow_leaves_the_gpu_to_jax(monkeypatch, capfd):
  tf = importlib.import_module('tensorflow')
  calls = []
  monkeypatch.setattr(
    tf.config, 'set_visible_devices', lambda *arguments: calls.append(arguments)
  )
  runtime.leave_gpu_to_jax()
  assert calls == [([], 'GPU')]
  assert capfd.readouterr().err == ''


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
