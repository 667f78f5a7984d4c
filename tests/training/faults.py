"""A run with a fault, in its own process: see test_random_faults.py."""

import itertools
import os
import random
import resource
import threading
import time

import gin
import numpy as np
from trax.data import inputs as trax_inputs

from trax_hourglass import train

# Of the process: what fails, and at which draw, step or second.
_fault, _at = None, 0.0


def run(argv, log, fault, at):
  """Runs `train.main`; what it prints goes to a file.

  Args:
    argv: The command line.
    log: The file's path.
    fault: One of the names below, or `None`.
    at: When it fails, see there.
  """
  global _fault, _at
  _fault, _at = fault, at
  file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
  os.dup2(file, 1)
  os.dup2(file, 2)
  if fault == 'stdout is full':
    os.dup2(os.open('/dev/full', os.O_WRONLY), 1)
  if fault == 'stdout is not read':
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 1)
  if fault == 'disk is full':
    threading.Thread(target=_fill_and_empty_the_disk, daemon=True).start()
  train.main(argv)


def _fill_and_empty_the_disk():
  """Makes every write fail for up to a second, `_at` seconds from now."""
  _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  time.sleep(_at)
  resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
  time.sleep(random.uniform(0, 1))
  resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


class _Stream:
  """A stream of the package with a fault at draw `_at`."""

  def __init__(self, stream, kind):
    self._stream, self._kind = stream, kind
    self._draws = itertools.count()

  def __next__(self):
    batch = next(self._stream)
    if next(self._draws) < _at:
      return batch
    if _fault == f'{self._kind} stream ends':
      raise StopIteration
    if _fault == f'{self._kind} stream raises':
      raise OSError('a fault')
    if _fault == f'{self._kind} is not finite':
      *arrays, weights = batch
      return (*arrays, np.nan * weights)
    return batch

  def skip(self, n):
    self._stream.skip(n)


@gin.configurable(module='tests')
def faulty_inputs():
  """Returns `trax_hourglass.text_inputs`, whose streams may fail."""
  inputs = gin.get_configurable('trax_hourglass.text_inputs')()
  return trax_inputs.Inputs(
    lambda n: _Stream(inputs.train_stream(n), 'training'),
    lambda n: _Stream(inputs.eval_stream(n), 'evaluation'),
  )


@gin.configurable(module='tests')
class FaultyCallback:
  """Raises before or after a step, counted in this process."""

  def __init__(self, loop):
    self._steps = itertools.count()

  def call_at(self, step):
    return True

  def on_step_begin(self, step):
    if next(self._steps) >= _at and _fault == 'callback raises before':
      raise KeyError('a fault')

  def on_step_end(self, step):
    if next(self._steps) >= _at and _fault == 'callback raises after':
      raise KeyError('a fault')
