"""A run that suffers every fault, in random order, ends as one without faults.

To try it for a minute:

  FAULTS_SECONDS=60 python -m pytest tests/training/test_random_faults.py
"""

import collections
import multiprocessing
import os
import random
import re
import shutil
import signal
import time

import numpy as np
import pytest

from tests.commands import arguments
from tests.training import faults
from trax_hourglass import load_checkpoint
from trax_hourglass.training.checkpoints import folders

_SECONDS = float(os.environ.get('FAULTS_SECONDS', '600'))

_CONFIG = (
  'train.inputs = @tests.faulty_inputs',
  'train.callbacks = [@tests.FaultyCallback]',
  'train.eval_frequency = 20',
  "train.checkpoint_lowest = 'bits_per_byte'",
  'trax_hourglass.Loop.save_every = 3',
)

# The exit code of a run with a fault that it ends with; it is signalled after
# some time where it does not.
_ENDS_WITH = {
  'training stream ends': 2,
  'training stream raises': 2,
  'training is not finite': 2,
  'evaluation stream ends': 2,
  'evaluation stream raises': 2,
  'callback raises before': 2,
  'callback raises after': 2,
  'stdout is not read': 141,
}
_GOES_ON_WITH = (
  None,
  'evaluation is not finite',
  'stdout is full',
  'disk is full',
)
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL)
_BETWEEN_RUNS = ('damage', 'remove', 'nothing', 'nothing', 'nothing')


def _all_in_turn(rng, items):
  """Yields all items in random order, over and over."""
  while True:
    yield from rng.sample(items, len(items))


class _Run:
  """A run in a directory, and what is known of it."""

  def __init__(self, tmp_path, rng):
    self.directory = tmp_path / 'faulty'
    self._log = tmp_path / 'log'
    self._rng = rng
    self._faults = _all_in_turn(rng, [*_ENDS_WITH, *_GOES_ON_WITH])
    self._signals = _all_in_turn(rng, _SIGNALS)
    self._damaged = None  # A checkpoint whose damage no run has noticed yet.
    self.reads_checkpoints = True  # Unless the run fails before.
    self._text = tmp_path / 'text'
    self._text.write_bytes(np.random.default_rng(0).bytes(2000))
    # Its processes are forked by one that has all imported, and no threads.
    self._context = multiprocessing.get_context('forkserver')
    self._context.set_forkserver_preload(
      ['trax_hourglass.train', 'tests.training.faults']
    )

  def argv(self, directory, n_steps):
    steps = f'train.steps = {n_steps}'
    return arguments(self._text, directory, *_CONFIG, steps)

  def steps(self):
    """Returns the steps of whole checkpoints, the newest first."""
    return [
      one.step
      for one in folders.stored(str(self.directory))
      if one.path != self._damaged
    ]

  def train(self):
    """Runs with a fault; returns the fault, signal, exit code and output."""
    fault = next(self._faults)
    in_steps = fault in _ENDS_WITH
    at = self._rng.randrange(40) if in_steps else self._rng.uniform(0, 3)
    # The first batch is drawn before checkpoints are read.
    self.reads_checkpoints = not (in_steps and at == 0)
    process = self._context.Process(
      target=faults.run,
      args=(self.argv(self.directory, 10**6), self._log, fault, at),
    )
    self._log.unlink(missing_ok=True)
    process.start()
    signum = None
    try:
      if not in_steps:
        while not self._log.exists():
          time.sleep(0.01)
        process.join(self._rng.uniform(0.05, 5))
        signum = next(self._signals)
        os.kill(process.pid, signum)
      process.join(120)
      assert process.exitcode is not None, (
        fault,
        signum,
        self._log.read_text(),
      )
    finally:
      process.kill()
      process.join()
    return fault, signum, process.exitcode, self._log.read_text()

  def check(self, move, before):
    """Checks the results of a run with a fault, returned by `train`."""
    fault, signum, code, log = move
    assert 'Traceback' not in log, (move, log)
    if signum == signal.SIGKILL:
      assert code == -signum
    elif signum is None:
      assert code == _ENDS_WITH[fault], (move, log)
    else:
      # Before it handles signals one ends it; a disk that is full at the end
      # is an error.
      codes = {128 + signum, -signum} | (
        {2} if fault == 'disk is full' else set()
      )
      assert code in codes, (move, log)
    is_gone = not os.path.exists(self._damaged or '')
    if 'is damaged' in log or is_gone:  # It is set aside then.
      self._damaged = None
    for one in folders.stored(str(self.directory)):
      # A run may be killed before it looks at a checkpoint.
      if one.path != self._damaged:
        folders.verify(one.path)
    after = self.steps()
    assert after[:1] >= before[:1], (move, before, after, log)
    saved = re.findall(r'step (\d+) is saved|at step (\d+), all saved', log)
    for groups in saved:
      assert after[0] == int(''.join(groups)), (move, after, log)

  def harm(self):
    """Damages or removes a checkpoint, or nothing, as between two runs."""
    there = folders.stored(str(self.directory))
    kind = self._rng.choice(_BETWEEN_RUNS)
    if kind == 'nothing' or len(there) < 2 or self._damaged:
      return 'nothing', self.steps()
    newest = there[0].path
    if kind == 'remove':
      shutil.rmtree(newest)
    else:
      path = os.path.join(newest, self._rng.choice(os.listdir(newest)))
      with open(path, 'r+b') as file:
        file.seek(self._rng.randrange(max(1, os.path.getsize(path))))
        file.write(b'damaged')
      self._damaged = newest
    return kind, self.steps()


@pytest.mark.slow
@pytest.mark.usefixtures('default_signals')
def test_a_run_with_random_faults_ends_as_one_without(tmp_path):
  rng = random.Random(os.environ.get('FAULTS_SEED', '0'))
  run, n_moves = _Run(tmp_path, rng), collections.Counter()
  end = time.monotonic() + _SECONDS
  while time.monotonic() < end:
    kind, before = run.harm()
    fault, signum, code, log = run.train()
    n_moves.update((kind, fault, signum and signal.Signals(signum).name))
    if kind == 'damage' and signum is None and run.reads_checkpoints:
      assert 'is damaged' in log, (fault, log)
    run.check((fault, signum, code, log), before)
  step = run.steps()[0] + 2
  print(f'{step} steps, {sum(n_moves.values()) // 3} runs: {dict(n_moves)}')
  for directory in (run.directory, tmp_path / 'whole'):
    faults.train.main(run.argv(directory, step))
  for x, y in zip(
    *(
      load_checkpoint(str(directory))['flat_weights']
      for directory in (run.directory, tmp_path / 'whole')
    ),
    strict=True,
  ):
    np.testing.assert_array_equal(x, y)
