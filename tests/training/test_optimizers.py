"""Optax's transformations train as Trax's optimizers do, in our loop."""

import functools
import os
import subprocess
import sys

import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest
from trax import optimizers

from tests.commands import arguments, fails, run_of
from tests.training.small_loop import assert_same, batches, small_loop, weights
from trax_hourglass import (
  Optax,
  UserError,
  load_checkpoint,
  muon_matrices,
  train,
  weights_named,
)

NAMES = ['embedding_0.embedding', 'dense_0.kernel', 'dense_0.bias']


def of(*transformations, **options):
  """Returns a function from the rate to an optimizer."""
  return lambda rate: Optax(
    list(transformations), learning_rate=rate, **options
  )


def clipped_adamw():
  return optax.clip_by_global_norm(0.5), optax.adamw(1.0)


def test_adam_is_that_of_trax():
  rng = np.random.default_rng(0)
  tree = ((), (rng.normal(size=(5, 3)).astype('f'),), rng.normal(size=3))

  def trained(optimizer):
    rng = np.random.default_rng(1)
    weights, (slots, options) = tree, optimizer.tree_init(tree)
    update = jax.jit(
      functools.partial(optimizer.tree_update, store_slots=False)
    )
    for step in range(100):
      gradients = jax.tree.map(
        lambda x: rng.normal(size=np.shape(x)).astype('f'), tree
      )
      options = {**options, 'learning_rate': jnp.float32(0.1 / (1 + step))}
      weights, slots, stats = update(step, gradients, weights, slots, options)
    return weights, stats

  got, expected = (
    trained(optimizer)
    for optimizer in (
      Optax(optax.adam(1.0, eps=1e-5)),
      optimizers.Adam(weight_decay_rate=0.0, eps=1e-5),
    )
  )
  assert jax.tree.structure(got) == jax.tree.structure(expected)
  for x, y in zip(*map(jax.tree.leaves, (got, expected)), strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)


def test_sgd_in_the_loop_is_that_of_trax():
  def rate(step):
    return 0.5 / step

  ours, theirs = (
    small_loop(optimizer=one, lr_schedule=rate)
    for one in (of(optax.sgd(1.0)), optimizers.SGD)
  )
  for loop in (ours, theirs):
    loop.run(3)
  for x, y in zip(weights(ours), weights(theirs), strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-6)


def test_muon_resumes_exactly(tmp_path):
  optimizer = of(optax.contrib.muon(1.0))
  whole = small_loop(tmp_path / 'whole', optimizer=optimizer)
  whole.run(4)
  small_loop(tmp_path / 'parts', optimizer=optimizer).run(2)
  resumed = small_loop(tmp_path / 'parts', optimizer=optimizer)
  assert resumed.step == 2
  resumed.run(2)
  assert_same(resumed, whole)
  slots = [
    load_checkpoint(str(tmp_path / name))['slots_per_task'][0]
    for name in ('whole', 'parts')
  ]
  assert len(slots[0]) >= 6
  for x, y in zip(*slots, strict=True):
    np.testing.assert_array_equal(x, y)


def test_random_keys_are_saved(tmp_path):
  key = jax.random.key(7, impl='rbg')  # Another kind than JAX's default.
  noisy = of(optax.add_noise(1.0, 0.5, key=key), optax.scale(-1.0))
  whole = small_loop(tmp_path / 'whole', optimizer=noisy)
  whole.run(3)
  for n_steps in (2, 1):
    parts = small_loop(tmp_path / 'parts', optimizer=noisy)
    parts.run(n_steps)
  assert_same(parts, whole)


def test_another_transformation_does_not_resume(tmp_path):
  small_loop(tmp_path, optimizer=of(optax.adam(1.0))).run(1)
  with pytest.raises(UserError, match='got 7 optimizer slot arrays, expected'):
    small_loop(tmp_path, optimizer=of(optax.sgd(1.0)))


def test_parts_of_a_batch_are_accumulated():
  whole, parts = (
    small_loop(optimizer=of(*clipped_adamw()), device_batch_size=size)
    for size in (None, 1)
  )
  for loop in (whole, parts):
    loop.run(3)
  for x, y in zip(weights(whole), weights(parts), strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


def test_a_batch_that_is_not_finite_changes_nothing(capsys):
  """Neither weights nor moments nor the count of steps."""
  loop = small_loop(
    stream=batches(bad=(2,)),
    optimizer=of(optax.adam(1.0)),
    skip_nonfinite=True,
  )
  loop.run(1)
  before = weights(loop), jax.device_get(loop.tasks[0].optimizer.slots)
  loop.run(1)
  assert 'batch 2 skipped' in capsys.readouterr().err
  after = weights(loop), jax.device_get(loop.tasks[0].optimizer.slots)
  jax.tree.map(np.testing.assert_array_equal, before, after)
  assert before[1][0] == 1


def test_rates_and_masks_go_by_name():
  loop = small_loop(
    optimizer=of(
      optax.lion(1.0, weight_decay=0.0),
      optax.add_decayed_weights(-10.0, weights_named('*.kernel')),
      rates={'dense_0.bias': 2, 'dense_0.*': 0.5, 'embed*': 0},
    )
  )
  embedding, kernel, bias = weights(loop)
  loop.run(1)
  after = weights(loop)
  np.testing.assert_array_equal(after[0], embedding)
  # Lion takes steps of 1, in the direction of the sign.
  step = (after[1] - kernel * (1 - 0.1 * 0.5 * 10)) / (0.1 * 0.5)
  np.testing.assert_allclose(np.abs(step), 1, rtol=1e-4)
  np.testing.assert_allclose(np.abs(after[2] - bias), 0.2, rtol=1e-4)


def test_muon_takes_the_matrices_that_are_named():
  """Its steps are nearly orthogonal; AdamW's are as long as the rate."""
  loop = small_loop(
    optimizer=of(
      optax.contrib.muon(
        1.0,
        nesterov=False,
        muon_weight_dimension_numbers=muon_matrices('dense_0.*'),
      )
    )
  )
  before = weights(loop)
  loop.run(1)
  embedding, kernel, bias = (
    (y - x) / 0.1 for x, y in zip(before, weights(loop), strict=True)
  )
  moved = embedding[np.any(embedding, axis=1)]
  np.testing.assert_allclose(np.abs(moved), 1, rtol=1e-2)
  np.testing.assert_allclose(np.abs(bias), 1, rtol=1e-2)
  singular_values = np.linalg.svd(kernel, compute_uv=False)
  scale = max(1, kernel.shape[1] / kernel.shape[0]) ** 0.5
  assert np.all(np.abs(singular_values / scale - 1) < 0.4)


@pytest.mark.parametrize(
  ('options', 'line'),
  [
    ({}, 'transformation: got None, expected one or several of Optax, as @op'),
    ({'transformation': optax.adam}, 'transformation: got <function adam'),
    ({'transformation': [3]}, 'transformation: got 3, expected'),
    (
      {'transformation': optax.sgd(1.0), 'rates': {'*': 'x'}},
      "rates: got 'x' for '*', expected a number",
    ),
    (
      {'transformation': optax.sgd(1.0), 'rates': {'level_9.*': 1}},
      "rates: got the pattern 'level_9.*', which no weight matches, expected "
      'one for names such as embedding_0.embedding, dense_0.kernel',
    ),
    (
      {'transformation': optax.adamw(1.0, mask=weights_named(['*.kernels']))},
      "weights_named: got the pattern '*.kernels', which no weight matches",
    ),
    (
      {'transformation': optax.contrib.schedule_free_adamw()},
      'transformation: got a schedule-free one, which trains other weights',
    ),
    (
      {'transformation': optax.contrib.momo()},
      'transformation: got one that needs more than gradients and weights',
    ),
  ],
)
def test_mistakes_are_one_line(options, line):
  with pytest.raises(UserError) as error_info:
    small_loop(optimizer=lambda rate: Optax(learning_rate=rate, **options))
  message = str(error_info.value)
  assert message.startswith(line)
  assert len(message.splitlines()) == 1


OPTAX = (
  'train.optimizer = @trax_hourglass.Optax',
  'trax_hourglass.Optax.transformation = '
  '[@optax.clip_by_global_norm(), @optax.adamw()]',
  "trax_hourglass.Optax.rates = {'level_0.*': 0.5}",
  'optax.clip_by_global_norm.max_norm = 1.0',
  'optax.adamw.mask = @trax_hourglass.weights_named()',
  "trax_hourglass.weights_named.patterns = ['*.kernel', '*.embedding']",
)


def test_the_command_resumes_exactly(text, tmp_path, capsys):
  whole, parts = tmp_path / 'whole', tmp_path / 'parts'
  run_of(arguments(text, whole, *OPTAX))
  run_of(arguments(text, parts, *OPTAX, 'train.steps = 2'))
  # What it saved is all that it needs.
  train.main(
    [
      'train',
      f'--config_file={parts}/config.gin',
      f'--output_dir={parts}',
      '--config=train.steps = 4',
    ]
  )
  assert 'has no effect' not in capsys.readouterr().err
  contents = [load_checkpoint(str(path)) for path in (whole, parts)]
  for name in ('flat_weights', 'slots_per_task'):
    jax.tree.map(
      np.testing.assert_array_equal, *(content[name] for content in contents)
    )


def test_the_rate_is_not_for_gin_to_bind(text, tmp_path, capsys):
  rate = 'optax.adamw.learning_rate = 1'
  line = fails(capsys, arguments(text, tmp_path / 'run', *OPTAX, rate))
  assert line == (
    'error: optax.adamw.learning_rate: cannot be bound, because the rate is '
    'that of train.lr_schedule_fn; bind that, or factors in '
    'trax_hourglass.Optax.rates'
  )


@pytest.mark.slow
def test_two_devices_train_as_one_does(text, tmp_path):
  momentum = (
    *OPTAX,
    'trax_hourglass.Optax.transformation = '
    '[@optax.clip_by_global_norm(), @optax.sgd()]',
    'optax.sgd.momentum = 0.9',
    'trax_hourglass.HourglassLM.dropout = 0.0',
    'trax_hourglass.text_inputs.batch_size = 4',
    'trax_hourglass.Loop.device_batch_size = 1',
    'trax_hourglass.Loop.skip_nonfinite = True',
  )
  found = []
  for n_devices in (1, 2):
    output_dir = tmp_path / str(n_devices)
    flag = f'--xla_force_host_platform_device_count={n_devices}'
    argv = arguments(text, output_dir, *momentum)[1:]
    subprocess.run(
      [sys.executable, '-m', 'trax_hourglass.train', *argv],
      check=True,
      env={**os.environ, 'XLA_FLAGS': flag},
    )
    found.append(load_checkpoint(str(output_dir)))
  for name in ('flat_weights', 'slots_per_task'):
    jax.tree.map(
      functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6),
      *(content[name] for content in found),
    )


def test_memory_efficient_training_is_refused():
  with pytest.raises(UserError, match='use_memory_efficient_trainer: got True'):
    small_loop(
      optimizer=lambda rate: functools.partial(Optax, optax.sgd(1.0)),
      use_memory_efficient_trainer=True,
    )
