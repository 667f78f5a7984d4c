"""Tests of failing streams, callbacks and metrics: trained steps are saved."""

import errno
import itertools
import types

import gin
import numpy as np
import pytest
from trax import layers as tl
from trax import optimizers
from trax.data import inputs as trax_inputs
from trax.supervised import training as trax_training

from tests.commands import arguments, fails
from tests.training.small_loop import assert_same, batches, history, small_loop
from trax_hourglass import load_checkpoint, train
from trax_hourglass.errors import UserError
from trax_hourglass.training import Loop
from trax_hourglass.training.checkpoints import folders

_AT = {'dropout': 0.5, 'n_steps_per_checkpoint': 4}


@pytest.fixture(scope='module')
def whole():
  """A loop after 9 uninterrupted steps."""
  loop = small_loop(**_AT)
  loop.run(9)
  return loop


def _raises(n, error=None):
  """Yields the first batch and `n` more, then raises or ends."""
  yield from itertools.islice(batches(), n + 1)
  if error is not None:
    raise error


@pytest.mark.parametrize(
  ('error', 'message'),
  [
    (None, 'training stream: ended after 6 batches .not counting the'),
    (
      OSError(5, 'Input/output error'),
      'training stream, after 6 batches, raised OSError: .Errno 5. Input/output'
      r' error \(test_user_code.py:\d+\)',
    ),
  ],
)
def test_progress_is_saved_when_the_training_stream_fails(
  tmp_path, whole, error, message
):
  loop = small_loop(tmp_path, stream=_raises(6, error), **_AT)
  with pytest.raises(UserError, match=message) as raised:
    loop.run(9)
  assert str(raised.value).endswith(
    'step 6 is saved; the same command goes on from there'
  )
  assert '\n' not in str(raised.value)
  assert loop.step == 6
  resumed = small_loop(tmp_path, **_AT)
  assert resumed.step == 6
  resumed.run(3)
  assert_same(resumed, whole)


def test_ended_stream_is_reported_again_and_nothing_is_lost(tmp_path):
  for _ in range(2):
    loop = small_loop(tmp_path, stream=_raises(6), **_AT)
    with pytest.raises(UserError, match='ended after 6 batches.*step 6 is sav'):
      loop.run(9)
    assert loop.step == 6


def test_a_stream_may_fail_before_the_first_step(tmp_path):
  with pytest.raises(UserError, match='after 0 .*; there is no checkpoint yet'):
    small_loop(tmp_path, stream=_raises(0)).run(2)
  with pytest.raises(UserError, match='one that does not end$'):
    small_loop(stream=_raises(0)).run(2)


@pytest.mark.parametrize('error', [None, OSError('gone')])
def test_progress_is_saved_when_the_evaluation_stream_fails(
  tmp_path, whole, error
):
  # Evaluations are at 1, 4 and 8, of a batch each.
  loop = small_loop(tmp_path, eval_stream=_raises(2, error), **_AT)
  with pytest.raises(UserError, match='evaluation stream.*step 8 is saved'):
    loop.run(9)
  assert loop.step == 8
  resumed = small_loop(tmp_path, **_AT)
  resumed.run(1)
  assert_same(resumed, whole)


def test_progress_is_saved_when_a_batch_is_bad(tmp_path, whole):
  def bad():
    for i, (tokens, targets, loss_weights) in enumerate(batches()):
      yield tokens + (i == 6) * 7, targets + (i == 6) * 7, loss_weights

  loop = small_loop(tmp_path, stream=bad(), **_AT)
  with pytest.raises(UserError, match='token .*step 5 is saved'):
    loop.run(9)
  resumed = small_loop(tmp_path, **_AT)
  resumed.run(4)  # Trains on the batch in the place of the bad one.
  assert_same(resumed, whole)


class _Callback:
  """Raises in one of its methods, at step 6."""

  raises_in, error = None, None

  def __init__(self, loop):
    self._loop = loop

  def call_at(self, step):
    return step in (5, 6)

  def _call(self, name, step):
    if (name, step) == (self.raises_in, 6):
      raise self.error

  def on_step_begin(self, step):
    self._call('begin', step)

  def on_step_end(self, step):
    self._call('end', step)


@pytest.mark.parametrize(('where', 'saved'), [('begin', 5), ('end', 6)])
def test_progress_is_saved_when_a_callback_fails(
  tmp_path, whole, monkeypatch, where, saved
):
  monkeypatch.setattr(_Callback, 'raises_in', where)
  monkeypatch.setattr(_Callback, 'error', ZeroDivisionError('by zero'))
  loop = small_loop(tmp_path, callbacks=[_Callback], **_AT)
  with pytest.raises(
    UserError,
    match='^callback _Callback raised ZeroDivisionError: by zero '
    rf'\(test_user_code.py:\d+\); step {saved} is saved',
  ):
    loop.run(9)
  resumed = small_loop(tmp_path, **_AT)
  assert resumed.step == saved
  resumed.run(9 - saved)
  assert_same(resumed, whole)


def test_progress_is_saved_when_a_callback_exits(tmp_path, monkeypatch):
  monkeypatch.setattr(_Callback, 'raises_in', 'end')
  monkeypatch.setattr(_Callback, 'error', SystemExit(3))
  loop = small_loop(tmp_path, callbacks=[_Callback], **_AT)
  with pytest.raises(SystemExit) as raised:
    loop.run(9)
  assert raised.value.code == 3
  assert small_loop(tmp_path, **_AT).step == 6


def test_progress_is_saved_when_a_metric_fails(tmp_path, whole, monkeypatch):
  loop = small_loop(tmp_path, **_AT)

  def raises(*_):
    raise ValueError('in\na metric')

  (task,) = loop.eval_tasks
  monkeypatch.setattr(task.metrics[1], '_forward_fn', raises)
  with pytest.raises(
    UserError,
    match='^a metric of the evaluation raised ValueError: in a metric '
    r'\(test_user_code.py:\d+\); step 1 is saved',
  ):
    loop.run(9)
  assert not history(loop)  # The evaluation that failed is not in it.
  resumed = small_loop(tmp_path, **_AT)
  assert resumed.step == 1
  resumed.run(8)
  assert_same(resumed, whole)


def test_failed_evaluation_keeps_an_earlier_one_at_the_same_step(monkeypatch):
  loop = small_loop()
  loop.run(2)
  before = history(loop)
  loop._progress.sums.is_eval_due = True

  def fails(*_):
    raise UserError('an evaluation')

  monkeypatch.setattr(loop, 'run_evals', fails)
  with pytest.raises(UserError, match='^an evaluation'):
    loop.run(0)
  assert history(loop) == before


def test_bug_keeps_its_traceback_and_what_was_trained(
  tmp_path, whole, monkeypatch
):
  def bug(self, *args):
    if self.step == 6:
      raise TypeError('a bug')
    return one_step(self, *args)

  one_step = Loop._update
  monkeypatch.setattr(Loop, '_update', bug)
  loop = small_loop(tmp_path, **_AT)
  with pytest.raises(TypeError, match='a bug') as raised:
    loop.run(9)
  assert raised.value.__notes__ == [
    'step 5 is saved; the same command goes on from there'
  ]
  monkeypatch.undo()
  resumed = small_loop(tmp_path, **_AT)
  resumed.run(4)
  assert_same(resumed, whole)


def test_loop_goes_on_after_an_error(tmp_path, whole):
  stream = batches()

  class Stream:
    """Unlike a generator, it goes on after raising."""

    def __init__(self):
      self._n = 0

    def __next__(self):
      self._n += 1
      if self._n == 7:
        raise OSError('once')
      return next(stream)

  loop = small_loop(tmp_path, stream=Stream(), **_AT)
  with pytest.raises(UserError, match='once'):
    loop.run(9)
  loop.run(4)
  assert_same(loop, whole)
  assert_same(small_loop(tmp_path, **_AT), loop)


def test_a_nan_loss_is_not_saved(tmp_path):
  """Not even if the stream ends before the loss is read."""
  stream = itertools.islice(batches(bad=[6]), 7)
  loop = small_loop(tmp_path, stream=stream, **_AT)
  with pytest.raises(
    UserError, match='ended after 6 batches.*step 6: loss nan, .*step_00000004'
  ):
    loop.run(9)
  assert small_loop(tmp_path, **_AT).step == 4


def test_full_disk_is_reported_with_the_error(tmp_path, monkeypatch):
  def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, 'No space left on device')

  loop = small_loop(tmp_path, stream=_raises(6), **_AT)
  write = folders.write
  monkeypatch.setattr(
    folders,
    'write',
    lambda *args, **kwargs: (full if args[1] == 6 else write)(*args, **kwargs),
  )
  with pytest.raises(
    UserError, match='ended after 6 .*No space left.*the last one is of step 4'
  ):
    loop.run(9)


@gin.configurable(module='tests')
def ending_inputs(n_batches=3):
  """Returns inputs whose training stream ends after `n_batches`."""
  inputs = gin.get_configurable('trax_hourglass.text_inputs')()
  return trax_inputs.Inputs(
    lambda n: itertools.islice(inputs.train_stream(n), n_batches),
    inputs.eval_stream,
  )


def test_the_command_reports_it_in_one_line(text, tmp_path, capsys):
  argv = arguments(
    text,
    tmp_path,
    'train.inputs = @tests.ending_inputs',
    'train.eval_frequency = 100',
  )
  line = fails(capsys, argv)
  assert line.startswith('error: training stream: ended after 2 batches (')
  assert line.endswith('; step 2 is saved; the same command goes on from there')
  with pytest.raises(SystemExit):
    train.main(argv)
  assert capsys.readouterr().err.splitlines()[-1] == line
  assert load_checkpoint(str(tmp_path))['step'] == 2
  argv = [*argv, '--config=tests.ending_inputs.n_batches = 0']
  with pytest.raises(SystemExit):
    train.main(argv)
  line = capsys.readouterr().err.splitlines()[-1]
  assert line.startswith('error: train.inputs: got a stream without a batch')


class _OfTokens(trax_training.TrainTask):
  """A task that makes batches of what its stream has."""

  def next_batch(self):
    tokens = next(self.labeled_data)['tokens']
    return tokens, tokens, np.ones(tokens.shape, np.float32)


def _loop_of(task_class, stream, output_dir=None):
  """Returns the small loop, its training task replaced."""
  sample = next(batches())
  task = task_class(
    stream,
    tl.WeightedCategoryCrossEntropy(),
    optimizers.Adam(0.1),
    n_steps_per_checkpoint=2,
    sample_batch=sample,
  )
  tasks = types.SimpleNamespace(
    tasks=[task], eval_tasks=small_loop().eval_tasks
  )
  return small_loop(output_dir, tasks_of=tasks)


def test_batches_are_those_that_the_task_makes(tmp_path):
  stream = [{'tokens': x} for x, *_ in itertools.islice(batches(), 1, 4)]
  loop = _loop_of(_OfTokens, iter([*stream, {}]), tmp_path)
  with pytest.raises(UserError, match="training stream raised KeyError: 'tok"):
    loop.run(9)
  expected = small_loop()
  expected.run(3)
  assert_same(loop, expected)
  assert load_checkpoint(str(tmp_path))['step'] == 3


def test_a_task_with_other_data_is_refused():
  class Shuffled(trax_training.TrainTask):
    @property
    def labeled_data(self):
      return map(tuple, self._labeled_data)

  with pytest.raises(UserError, match='Shuffled has a labeled_data of its own'):
    _loop_of(Shuffled, batches())


def test_a_loop_that_saves_in_its_own_way_is_refused():
  class Uploading(Loop):
    def save_checkpoint(self, basename):
      super().save_checkpoint(basename)

  with pytest.raises(
    UserError, match='Uploading.save_checkpoint: got a method'
  ):
    small_loop(loop_class=Uploading)
