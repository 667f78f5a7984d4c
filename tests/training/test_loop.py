"""Tests of the training loop, on a model that compiles at once."""

import io
import itertools
import sys
import time

import jax
import numpy as np
import pytest
from trax import layers as tl
from trax import optimizers
from trax.supervised import training as trax_training

from trax_hourglass.errors import UserError
from trax_hourglass.training import Loop, checkpoints

_VOCAB_SIZE = 7


def _batches(highest=_VOCAB_SIZE - 1, after=0):
  """Yields batches; tokens reach `highest` only after so many of them."""
  rng = np.random.default_rng(0)
  for i in itertools.count():
    tokens = rng.integers(_VOCAB_SIZE, size=(2, 5)).astype(np.int32)
    tokens[1, 2] = highest if i >= after else 0
    yield tokens, tokens, np.ones(tokens.shape, np.float32)


def _loop(
  output_dir=None,
  d_model=3,
  stream=None,
  eval_stream=None,
  optimizer=optimizers.Adam,
  n_steps_per_checkpoint=2,
  loop_class=Loop,
):
  task = trax_training.TrainTask(
    stream or _batches(),
    tl.WeightedCategoryCrossEntropy(),
    optimizer(0.1),
    n_steps_per_checkpoint=n_steps_per_checkpoint,
  )
  eval_task = trax_training.EvalTask(
    eval_stream or _batches(),
    [tl.WeightedCategoryCrossEntropy(), tl.WeightedCategoryAccuracy()],
    metric_names=['loss', 'bits_per_byte'],
  )
  model = tl.Serial(tl.Embedding(_VOCAB_SIZE, d_model), tl.Dense(_VOCAB_SIZE))
  return loop_class(
    model,
    task,
    eval_tasks=[eval_task],
    output_dir=output_dir and str(output_dir),
    random_seed=0,
  )


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
  assert _n_compilations(_loop(tmp_path), 3) == 1
  resumed = _loop(tmp_path)
  assert resumed.step == 3
  assert _n_compilations(resumed, 2) == 1


def test_trax_compiles_the_update_twice():
  assert _n_compilations(_loop(loop_class=trax_training.Loop), 3) == 2


def test_losses_are_those_of_trax():
  ours, trax = _loop(), _loop(loop_class=trax_training.Loop)
  for loop in (ours, trax):
    loop.run(5)
  for mode in ('train', 'eval'):
    for metric in ours.history.metrics_for_mode(mode):
      if metric != 'training/steps per second':
        np.testing.assert_allclose(
          np.array(ours.history.get(mode, metric)),
          np.array(trax.history.get(mode, metric)),
          rtol=1e-6,
        )


def test_last_step_is_in_the_checkpoint(tmp_path):
  loop = _loop(tmp_path, n_steps_per_checkpoint=100)
  loop.run(3)
  resumed = _loop(tmp_path)
  assert resumed.step == 3
  np.testing.assert_array_equal(
    resumed.model.weights[1][0], loop.model.weights[1][0]
  )


def test_last_evaluation_is_in_the_checkpoint(tmp_path):
  _loop(tmp_path).run(4)
  steps = [
    step for step, _ in _loop(tmp_path).history.get('eval', 'metrics/loss')
  ]
  assert steps == [1, 2, 4]


def test_prints_one_line_per_evaluation(capsys):
  _loop().run(2)
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
  _loop(tmp_path).run(2)
  out, err = capsys.readouterr()
  assert len(out.splitlines()) == 2
  assert not err


def test_shows_progress_on_a_terminal(monkeypatch):
  terminal = io.StringIO()
  terminal.isatty = lambda: True
  monkeypatch.setattr(sys, 'stderr', terminal)

  def slow_batches():
    for batch in _batches():
      time.sleep(0.3)
      yield batch

  _loop(stream=slow_batches()).run(3)
  last = terminal.getvalue().split('\r')[-1]
  for part in ('100%', '3/3', 'steps/s', 'left'):
    assert part in last
  assert 'bits per byte' in terminal.getvalue()


@pytest.mark.parametrize('token', [_VOCAB_SIZE, -1])
def test_refuses_token_outside_the_vocabulary(token):
  message = rf'token id {token} .* from 0 to 6, the model.s vocab_size is 7'
  with pytest.raises(UserError, match=message):
    _loop(stream=_batches(token))
  with pytest.raises(UserError, match=message):
    _loop(eval_stream=_batches(token))
  loop = _loop(stream=_batches(token, after=3))
  loop.run(2)
  with pytest.raises(UserError, match=message):
    loop.run(1)


def test_refuses_checkpoint_of_another_architecture(tmp_path):
  _loop(tmp_path).run(1)
  before = {path: path.read_bytes() for path in tmp_path.glob('model*')}
  with pytest.raises(
    UserError, match=r'weight array 0 has shape \(7, 3\), .* \(7, 4\)'
  ):
    _loop(tmp_path, d_model=4)
  assert before == {path: path.read_bytes() for path in tmp_path.glob('model*')}


def test_refuses_checkpoint_of_another_optimizer(tmp_path):
  _loop(tmp_path, optimizer=optimizers.Momentum).run(1)
  with pytest.raises(UserError, match='optimizer slot arrays'):
    _loop(tmp_path)


def test_refuses_truncated_checkpoint(tmp_path):
  _loop(tmp_path).run(1)
  path = tmp_path / f'model{checkpoints.SUFFIX}'
  path.write_bytes(path.read_bytes()[:-20])
  with pytest.raises(UserError, match='cannot be read as a checkpoint'):
    _loop(tmp_path)


def test_classifier_may_have_tokens_beyond_its_classes():
  def batches():
    for tokens, _, _ in _batches():
      yield tokens, np.zeros(2, np.int32), np.ones(2, np.float32)

  model = tl.Serial(tl.Embedding(_VOCAB_SIZE, 3), tl.Mean(axis=1), tl.Dense(2))
  task = trax_training.TrainTask(
    batches(), tl.WeightedCategoryCrossEntropy(), optimizers.SGD(0.1)
  )
  Loop(model, task, random_seed=0).run(1)
