"""Tests of SIGTERM and Ctrl-C."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from trax import optimizers
from trax.supervised import callbacks

from tests.training.small_loop import assert_same, batches, small_loop
from trax_hourglass.training import interruption, updates
from trax_hourglass.training.checkpoints import folders


def _signal_at(step, signum):
  """Yields batches, and sends this process a signal before batch `step`."""
  for i, batch in enumerate(batches()):
    if i == step:
      os.kill(os.getpid(), signum)
    yield batch


@pytest.mark.usefixtures('default_signals')
@pytest.mark.parametrize('signum', [signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize('step', [3, 4])  # At 4 an evaluation is due.
def test_finishes_the_step_and_saves(tmp_path, signum, step, capsys):
  handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
  kwargs = {'dropout': 0.5, 'n_steps_per_checkpoint': 4}
  loop = small_loop(tmp_path / 'a', stream=_signal_at(step, signum), **kwargs)
  with pytest.raises(interruption.Interrupted) as stopped:
    loop.run(9)
  assert stopped.value.exit_code == 128 + signum
  assert f'at step {step}, all saved' in str(stopped.value)
  assert 'finishing the step' in capsys.readouterr().err
  assert loop.step == step
  resumed = small_loop(tmp_path / 'a', **kwargs)
  assert resumed.step == step
  resumed.run(9 - step)
  whole = small_loop(tmp_path / 'b', **kwargs)
  whole.run(9)
  assert_same(resumed, whole)
  assert handlers == [
    signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)
  ]


def test_a_signal_stops_an_evaluation_which_the_next_run_repeats(tmp_path):
  kwargs = {'n_steps_per_checkpoint': 4, 'n_eval_batches': 3}
  drawn = []

  def eval_stream():
    for i, batch in enumerate(batches()):
      if i == 5:  # The second of three at step 4.
        os.kill(os.getpid(), signal.SIGTERM)
      drawn.append(i)
      yield batch

  loop = small_loop(tmp_path / 'a', eval_stream=eval_stream(), **kwargs)
  with pytest.raises(interruption.Interrupted, match='at step 4, all saved'):
    loop.run(9)
  assert drawn[-1] == 5
  assert [step for step, _ in loop.history.get('eval', 'metrics/loss')] == [1]
  loop.run_evals()  # By itself it does not heed the signal of that run.
  assert drawn[-1] == 8
  resumed = small_loop(tmp_path / 'a', **kwargs)
  assert resumed.is_eval_due
  resumed.run(5)
  whole = small_loop(tmp_path / 'b', **kwargs)
  whole.run(9)
  assert_same(resumed, whole)


def test_best_evaluation_at_the_step_of_a_signal_keeps_its_checkpoint(tmp_path):
  kwargs = {
    'n_steps_per_checkpoint': 2,
    'eval_stream': itertools.repeat(next(batches())),
    'checkpoint_low_metric': 'loss',
    'keep_last': 1,
    'optimizer': optimizers.SGD,
    # It gets better up to step 4, and then worse.
    'lr_schedule': lambda step: 1.0 if step <= 4 else -1.0,
  }
  loop = small_loop(tmp_path, stream=_signal_at(4, signal.SIGTERM), **kwargs)
  with pytest.raises(interruption.Interrupted):
    loop.run(9)
  resumed = small_loop(tmp_path, **kwargs)
  resumed.run(5)
  losses = dict(resumed.history.get('eval', 'metrics/loss'))
  assert min(losses, key=losses.get) == 4
  steps = [one.step for one in folders.stored(str(tmp_path))]
  assert steps == [9, 4]
  manifest = folders.verify(str(tmp_path / 'checkpoints/step_00000004'))
  assert manifest['metrics']['loss'] == losses[4]


def test_a_time_limit_saves_and_stops(tmp_path):
  watched = signal.SIGTERM, signal.SIGALRM
  handlers = list(map(signal.getsignal, watched))
  loop = small_loop(tmp_path)
  loop.run(1)  # Compiles.
  with (
    interruption.time_limit(minutes=0.5 / 60) as limit,
    pytest.raises(interruption.Interrupted, match='all saved'),
  ):
    loop.run(10**6)
  assert limit.is_over
  assert small_loop(tmp_path).step == loop.step > 1
  assert handlers == list(map(signal.getsignal, watched))


def test_a_time_limit_ends_code_that_watches_no_signals():
  with (
    interruption.time_limit(minutes=0.1 / 60) as limit,
    pytest.raises(interruption.Interrupted) as stopped,
  ):
    time.sleep(60)
  assert limit.is_over
  assert stopped.value.exit_code == 128 + signal.SIGTERM


def test_a_time_limit_that_is_not_reached():
  with interruption.time_limit(minutes=10) as limit:
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 600
  assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
  assert not limit.is_over
  with interruption.time_limit(None) as limit:
    assert not limit.is_over


def test_the_number_of_a_signal_is_not_a_metric(tmp_path):
  """Not even in the step after the one that brought it."""
  loop = small_loop(tmp_path)
  loop.run(1)
  for step in (2, 3):
    stats = {'loss': np.float32(1.0), updates.SIGNAL: np.int32(15)}
    loop._progress.put(step, step, stats)
    loop._read_losses()
  assert updates.SIGNAL not in loop._progress.sums.metrics
  assert loop._watch.signum == 0  # A single host heeds its own.
  watch = interruption.Watch(is_shared=True)
  watch.stop(signal.SIGINT)
  assert watch.signum == 0  # Not before all hosts have heard of it.
  watch.hear(signal.SIGTERM)
  watch.hear(0)
  assert (watch.own, watch.signum) == (signal.SIGINT, signal.SIGTERM)


@pytest.mark.usefixtures('default_signals')
@pytest.mark.parametrize('signum', [signal.SIGINT, signal.SIGTERM])
def test_signal_in_a_destructor_is_not_lost(signum):
  class Dropped:
    def __del__(self):
      os.kill(os.getpid(), signum)
      for _ in range(1000):  # Python handles the signal here.
        pass

  with pytest.raises(KeyboardInterrupt), interruption.raising():
    Dropped()
    time.sleep(20)
    raise AssertionError('the signal was lost')


def _started(code):
  """Starts a process that runs code with the module, once it says 'ready'."""
  load = f"""
import hashlib, importlib.util, os, time
spec = importlib.util.spec_from_file_location('x', {interruption.__file__!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
watch = module.Watch()
"""
  process = subprocess.Popen(
    [sys.executable, '-c', load + code],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    start_new_session=True,
  )
  assert process.stdout.readline() == 'ready\n'
  return process


def test_second_interrupt_stops_at_once():
  # Python runs no handler before the main thread is back from the C function.
  code = """
with module.watching(watch):
  print('ready', flush=True)
  hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)
"""
  with _started(code) as process:
    process.send_signal(signal.SIGTERM)
    assert process.stderr.readline() == '\n'
    assert process.stderr.readline().startswith('SIGTERM: finishing the step')
    process.send_signal(signal.SIGTERM)  # As batch systems do: no matter.
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130


@pytest.mark.usefixtures('default_signals')
@pytest.mark.parametrize(
  ('signum', 'exit_code'), [(signal.SIGINT, 7), (signal.SIGTERM, -15)]
)
def test_forked_processes_have_no_part_in_it(signum, exit_code):
  # A terminal and batch systems send signals to the whole group of processes.
  code = """
with module.raising(), module.watching(watch):
  child = os.fork()
  if not child:
    try:
      print('ready', flush=True)
      time.sleep(20)
    except KeyboardInterrupt:
      os._exit(7)
  _, status = os.waitpid(child, 0)
print(watch.own, os.waitstatus_to_exitcode(status))
"""
  with _started(code) as process:
    os.killpg(process.pid, signum)
    out, err = process.communicate(timeout=60)
  assert out == f'{int(signum)} {exit_code}\n'
  # Python 3.12 and later warn of forks in processes with threads.
  assert f'\n{signum.name}: finishing the step' in err


def test_a_forked_process_may_leave_the_run_by_an_exception():
  code = """
print('ready', flush=True)
child = None
try:
  with module.watching(watch):
    child = os.fork()
    if not child:
      raise EOFError
    _, status = os.waitpid(child, 0)
except EOFError:
  os._exit(7)
print(os.waitstatus_to_exitcode(status))
"""
  with _started(code) as process:
    assert process.communicate(timeout=60)[0] == '7\n'


def test_a_callback_that_evaluates_does_not_make_a_signal_an_error(tmp_path):
  class Evaluating(callbacks.TrainingStepCallback):
    def call_at(self, step):
      return step == 3

    def on_step_begin(self, step):
      os.kill(os.getpid(), signal.SIGTERM)

    def on_step_end(self, step):
      self._loop.run_evals()

  loop = small_loop(tmp_path, callbacks=[Evaluating])
  with pytest.raises(interruption.Interrupted, match='at step 3, all saved'):
    loop.run(9)
  assert loop.history.get('eval', 'metrics/loss')[-1][0] == 3


def test_trains_in_another_thread(tmp_path):
  loop = small_loop(tmp_path)
  thread = threading.Thread(target=loop.run, args=(2,))
  thread.start()
  thread.join()
  assert small_loop(tmp_path).step == 2
