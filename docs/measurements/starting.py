"""Measures how long commands take to start, in CPU time of new processes.

python docs/measurements/starting.py [--repeats=3] [--against=CHECKOUT]

With --against, in turns with an older checkout of this repository, both with
the quick start of that one. The cache of compiled programs is empty at first,
and full in the repeats. CPU time changes little with other work on the machine;
give it one core, with `taskset -c 0`.
"""

import argparse
import os
from pathlib import Path
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import gin

ROOT = Path(__file__).parents[2]
_IMPORT, _HELP = "python -c 'import trax_hourglass'", 'train --helpshort'
_TRAIN, _GENERATE = (
  'train, to the end of its first step',
  'generate --length=10',
)
TO_FIRST_STEP = (
  '--config=import starting',
  '--config=train.callbacks = [@starting.FirstStep]',
)


def main():
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--repeats', type=int, default=3)
  parser.add_argument('--against', type=Path)
  args = parser.parse_args()
  checkouts = [path.resolve() for path in (args.against, ROOT) if path]
  config_file = checkouts[0] / 'gin' / 'quickstart.gin'
  with tempfile.TemporaryDirectory() as folder:
    seconds = [
      [
        _start(checkout, config_file, Path(folder, str(i)), repeat)
        for i, checkout in enumerate(checkouts)
      ]
      for repeat in range(1 + args.repeats)
    ]
  print(_table(checkouts, seconds))


def _start(checkout, config_file, folder, repeat):
  """Returns the seconds that each command takes to start, by its name."""
  run = folder / str(repeat)
  run.mkdir(parents=True)

  def start(*arguments, code=0):
    environment = os.environ | {
      'HOME': str(folder),  # There the cache is.
      'PYTHONPATH': f'{checkout}{os.pathsep}{Path(__file__).parent}',
    }
    environment.pop('JAX_COMPILATION_CACHE_DIR', None)
    before = _children()
    done = subprocess.run(
      [sys.executable, *arguments],
      cwd=run,
      env=environment,
      encoding='utf-8',
      errors='replace',
      capture_output=True,
      check=False,
    )
    first_step = re.search('first step: (.*)', done.stdout)
    if done.returncode != code:
      sys.exit(f'{arguments} failed: {done.stderr}')
    return float(first_step[1]) if first_step else _children() - before

  command, output = 'trax_hourglass.', f'--output_dir={run}'
  train = f'{command}train', f'--config_file={config_file}', output
  return {
    _HELP: start('-m', f'{command}train', '--helpshort', code=1),
    _IMPORT: start('-c', 'import trax_hourglass'),
    _TRAIN: start('-m', *train, *TO_FIRST_STEP, code=128 + signal.SIGTERM),
    _GENERATE: start('-m', f'{command}generate', output, '--length=10'),
  }


def _children():
  usage = resource.getrusage(resource.RUSAGE_CHILDREN)
  return usage.ru_utime + usage.ru_stime


def _table(checkouts, seconds):
  # Not above: the measured process of `train` imports this module.
  import tabulate

  from trax_hourglass.lab.benchmarks import device

  first, *again = seconds
  rows = []
  for name in first[0]:
    kinds = [('', again)]
    if name in (_TRAIN, _GENERATE):
      kinds = [(', first time', [first]), (', second time', again)]
    for kind, repeats in kinds:
      per_checkout = [
        [repeat[i][name] for repeat in repeats] for i in range(len(checkouts))
      ]
      medians = [statistics.median(found) for found in per_checkout]
      rows.append([name + kind, *map(_describe, per_checkout)])
      rows[-1] += [f'{medians[-1] / medians[0]:.2f}'] * (len(checkouts) > 1)
  names = [*map(str, checkouts), 'ratio'][: len(rows[0]) - 1]
  table = tabulate.tabulate(
    rows,
    [f'CPU seconds: {device.cpu()}', *names],
    'pipe',
    disable_numparse=True,
  )
  return f'{table}\n\nMedians of {len(again)}, and their range.'


def _describe(seconds):
  median = f'{statistics.median(seconds):.2f}'
  if len(seconds) == 1:
    return median
  return f'{median} ({min(seconds):.2f} to {max(seconds):.2f})'


@gin.configurable(module='starting')
class FirstStep:
  """Prints the process's time at the end of its first step, and ends it."""

  def __init__(self, loop):
    self._loop = loop

  def call_at(self, step):
    return step == 1

  def on_step_begin(self, step):
    pass

  def on_step_end(self, step):
    import jax

    jax.block_until_ready(self._loop.model.weights)
    print(f'first step: {time.process_time():.3f}', flush=True)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == '__main__':
  main()
