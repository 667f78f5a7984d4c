"""Tests of the training loop, on a model that compiles at once."""

import io
import itertools
import sys
import time
import types

import jax
import numpy as np
import pytest
from trax import layers as tl
from trax import optimizers
from trax.supervised import training as trax_training

from tests.training.small_loop import VOCAB_SIZE, batches, small_loop
from trax_hourglass.errors import UserError
from trax_hourglass.training import Loop, progress

_COMPILED = []
jax.monitoring.register_event_duration_secs_listener(
  lambda event, _, fun_name='', **kwargs: (
    event.endswith('/backend_compile_duration') and _COMPILED.append(fun_name)
  )
)


def _n_compilations(loop, n_steps):
  """Returns how often XLA compiles the update function in these steps."""
  _COMPILED.clear()
  loop.run(n_steps)
  return _COMPILED.count('jit(single_device_update_fn)')


def test_update_is_compiled_once(tmp_path):
  assert _n_compilations(small_loop(tmp_path), 3) == 1
  resumed = small_loop(tmp_path)
  assert resumed.step == 3
  assert _n_compilations(resumed, 2) == 1


def test_trax_compiles_the_update_twice():
  assert _n_compilations(small_loop(loop_class=trax_training.Loop), 3) == 2


def test_losses_are_the_same_as_traxs():
  ours, trax = small_loop(), small_loop(loop_class=trax_training.Loop)
  for loop in (ours, trax):
    loop.run(5)
  for mode in ('train', 'eval'):
    metrics = set(ours.history.metrics_for_mode(mode))
    assert metrics == set(trax.history.metrics_for_mode(mode))
    for metric in metrics - {'training/steps per second'}:
      np.testing.assert_allclose(
        np.array(ours.history.get(mode, metric)),
        np.array(trax.history.get(mode, metric)),
        rtol=1e-6,
      )


def test_means_of_several_tasks_are_over_the_same_steps():
  tasks = [
    trax_training.TrainTask(
      batches(seed=seed),
      tl.WeightedCategoryCrossEntropy(),
      optimizers.SGD(0.1),
      n_steps_per_checkpoint=4,
    )
    for seed in (0, 1)
  ]
  loop = small_loop(
    tasks_of=types.SimpleNamespace(tasks=tasks, eval_tasks=[]),
    eval_at=lambda step: step == 4,
    which_task=lambda step: step // 3,  # Steps 3 and 4 are of the second.
  )
  loop.run(4)
  [(_, loss)], [(_, mean)] = (
    loop.history.get('train', metric)
    for metric in ('metrics/WeightedCategoryCrossEntropy', 'training/loss')
  )
  assert mean == loss


def test_a_clock_that_is_set_back_does_not_matter(monkeypatch):
  times = itertools.count(10**9, -1)
  monkeypatch.setattr(time, 'time', lambda: next(times))
  sums = progress.Progress(1, lambda: '')
  sums.start_clock()
  sums.add(1, 1, {'loss': 1.0})
  _, rate, metrics = sums.means()
  assert rate > 0 and metrics['steps per second'] > 0
  assert sums.state()['sums']['seconds'] > 0


def test_initialises_one_model_for_both(tmp_path):
  eval_model = tl.Serial(tl.Embedding(VOCAB_SIZE, 3), tl.Dense(VOCAB_SIZE))
  for step in (0, 1):
    loop = small_loop(tmp_path, eval_model=eval_model)
    assert loop.step == step
    for ours, evaluated in zip(
      jax.tree.leaves(loop.model.weights),
      jax.tree.leaves(eval_model.weights),
      strict=True,
    ):
      np.testing.assert_array_equal(ours, evaluated)
    loop.run(1)
    assert eval_model.init == tl.Serial.init.__get__(eval_model)


def test_last_step_is_in_the_checkpoint(tmp_path):
  loop = small_loop(tmp_path, n_steps_per_checkpoint=100)
  loop.run(3)
  resumed = small_loop(tmp_path)
  assert resumed.step == 3
  np.testing.assert_array_equal(
    resumed.model.weights[1][0], loop.model.weights[1][0]
  )


def test_last_evaluation_is_in_the_checkpoint(tmp_path):
  small_loop(tmp_path).run(4)
  steps = [
    step for step, _ in small_loop(tmp_path).history.get('eval', 'metrics/loss')
  ]
  assert steps == [1, 2, 4]


def test_prints_one_line_per_evaluation(capsys):
  small_loop().run(2)
  lines = [
    line for line in capsys.readouterr().out.splitlines() if 'step' in line
  ]
  assert len(lines) == 2
  assert lines[1].startswith('step 2  ')
  for part in (
    ' steps/s',
    ' nats, ',
    ' bits per byte',
    'validation bits_per_byte',
  ):
    assert part in lines[1]


def test_is_silent_but_for_evaluations(capsys, tmp_path):
  small_loop(tmp_path).run(2)
  out, err = capsys.readouterr()
  assert len(out.splitlines()) == 2
  assert not err


def test_shows_progress_on_a_terminal(monkeypatch):
  terminal = io.StringIO()
  terminal.isatty = lambda: True
  monkeypatch.setattr(sys, 'stderr', terminal)

  def slow_batches():
    for batch in batches():
      time.sleep(0.3)
      yield batch

  small_loop(stream=slow_batches()).run(3)
  last = terminal.getvalue().split('\r')[-1]
  for part in ('100%', '3/3', 'steps/s', 'left'):
    assert part in last
  assert 'bits per byte' in terminal.getvalue()


@pytest.mark.parametrize('token', [VOCAB_SIZE, -1])
def test_refuses_token_outside_the_vocabulary(token):
  message = rf'got a token {token}, .* from 0 to 6, .* a vocab_size of 7'
  with pytest.raises(UserError, match=message):
    small_loop(stream=batches(token))
  with pytest.raises(UserError, match=message):
    small_loop(eval_stream=batches(token))
  loop = small_loop(stream=batches(token, after=3))
  loop.run(2)
  with pytest.raises(UserError, match=message):
    loop.run(1)


def test_refuses_checkpoint_of_another_architecture(tmp_path):
  small_loop(tmp_path).run(1)
  before = {path: path.read_bytes() for path in tmp_path.glob('model*')}
  with pytest.raises(
    UserError, match=r'weight array 0 has shape \(7, 3\), .* \(7, 4\)'
  ):
    small_loop(tmp_path, d_model=4)
  assert before == {path: path.read_bytes() for path in tmp_path.glob('model*')}


def test_refuses_checkpoint_of_another_optimizer(tmp_path):
  small_loop(tmp_path, optimizer=optimizers.Momentum).run(1)
  with pytest.raises(UserError, match='optimizer slot arrays'):
    small_loop(tmp_path)


def test_classifier_may_have_tokens_beyond_its_classes():
  def labelled():
    for tokens, _, _ in batches():
      yield tokens, np.zeros(2, np.int32), np.ones(2, np.float32)

  model = tl.Serial(tl.Embedding(VOCAB_SIZE, 3), tl.Mean(axis=1), tl.Dense(2))
  task = trax_training.TrainTask(
    labelled(), tl.WeightedCategoryCrossEntropy(), optimizers.SGD(0.1)
  )
  loop = Loop(model, task, random_seed=0)
  loop.run(1)
  assert loop.step == 1
