"""A run killed at any moment resumes from its last checkpoint."""

import multiprocessing
import random
import time

import numpy as np
import pytest

from tests.commands import arguments
from trax_hourglass import load_checkpoint, train
from trax_hourglass.training.checkpoints import folders

_SAVING_EACH_STEP = (
  'trax_hourglass.Loop.save_every = 1',
  'train.eval_frequency = 100000',
)


@pytest.mark.parametrize(
  'n_kills', [5, pytest.param(50, marks=pytest.mark.slow)]
)
def test_a_killed_run_resumes_exactly(n_kills, text, tmp_path):
  killed = tmp_path / 'killed'
  # Its processes are forked by one that has all imported, and no threads.
  context = multiprocessing.get_context('forkserver')
  context.set_forkserver_preload(['trax_hourglass.train'])
  argv = arguments(text, killed, *_SAVING_EACH_STEP, 'train.steps = 1000000')
  rng = random.Random(0)
  n_in_a_write = 0
  for _ in range(n_kills):
    process = context.Process(target=train.main, args=(argv,))
    process.start()
    try:
      if rng.random() < 0.9:  # Else while it starts.
        _wait_for_a_checkpoint(killed, process)
      time.sleep(rng.uniform(0, 0.3))
      before = folders.stored(str(killed))
    finally:
      process.kill()  # That is SIGKILL.
      process.join()
    after = folders.stored(str(killed))
    for one in after:
      folders.verify(one.path)
    assert [one.step for one in after[:1]] >= [one.step for one in before[:1]]
    n_in_a_write += bool(list(killed.glob('checkpoints/.writing_*')))
  assert n_in_a_write
  step = after[0].step + 2
  print(f'{n_kills} kills, {n_in_a_write} of them in a write, {step} steps')
  train.main(
    arguments(text, killed, *_SAVING_EACH_STEP, f'train.steps = {step}')
  )
  whole = tmp_path / 'whole'
  train.main(
    arguments(text, whole, f'train.steps = {step}', *_SAVING_EACH_STEP[1:])
  )
  for x, y in zip(
    *(load_checkpoint(str(run))['flat_weights'] for run in (killed, whole)),
    strict=True,
  ):
    np.testing.assert_array_equal(x, y)


def _wait_for_a_checkpoint(directory, process):
  before = folders.stored(str(directory))[:1]
  for _ in range(100_000):
    if folders.stored(str(directory))[:1] != before:
      return
    assert process.is_alive()
    time.sleep(0.001)
  raise AssertionError('no checkpoint came')
