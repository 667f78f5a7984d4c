"""Measures training steps side by side: python -m trax_hourglass.benchmark.

Our Hourglass, the one of `trax.models` and our Transformer-XL baseline, each
one jitted function of gradient and Adam with weights and slots donated, take
turns in one process, so that a busy machine is as unfair to one as to another.
Prints a table, and writes benchmark.json and benchmark.png to --output_dir,
runs/benchmark by default.
"""

from collections.abc import Sequence
import contextlib
import json
import os
import sys

from absl import flags
import jax
import tensorflow as tf
import tqdm
from trax import trainer_flags

from trax_hourglass import command
from trax_hourglass.benchmarks import operations, report, steps
from trax_hourglass.benchmarks.contenders import THEIRS, contenders
from trax_hourglass.errors import UserError, check_positive

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(trainer_flags)
flags.DEFINE_string(
  'hierarchy', '2@1 8@4 2@1', 'The levels of both Hourglass models.'
)
flags.DEFINE_string('baseline', '12@1', 'The levels of the Transformer-XL.')
flags.DEFINE_integer('length', 2048, 'Tokens in a sequence.')
flags.DEFINE_integer('batch_size', 1, 'Sequences in a batch.')
flags.DEFINE_integer('d_model', 512, 'Width of the activations; d_ff is 4 x.')
flags.DEFINE_integer('n_heads', 8, 'Number of attention heads.')
flags.DEFINE_list('dropout', ['0', '0.1'], 'Rates, each measured by itself.')
flags.DEFINE_integer('repeats', 5, 'Steps of each that are timed.')
flags.DEFINE_bool(
  'quick', False, 'A model and a sequence small enough for two minutes.'
)

_QUICK = {'length': 512, 'd_model': 128, 'hierarchy': '1@1 2@4 1@1'}
# Of those that all commands have.
_USED_FLAGS = ('log_level', 'output_dir')
_GIGA = 1e9


@command.exit_codes()
def main(argv: Sequence[str]) -> None:
  _read_flags(argv)
  rates = [_rate(text) for text in FLAGS.dropout]
  peak = operations.matrix_product_rate()
  print(
    f'{jax.devices()[0].device_kind}: products of 2048 x 2048 matrices at '
    f'{peak / _GIGA:.0f} GFLOP/s'
  )
  results = {'peak': peak, 'settings': _settings(), 'runs': []}
  for rate in rates:
    with _compiled_anew():
      run = _measure(_contenders(rate))
    results['runs'].append({'dropout': rate, 'models': run})
    print(f'\ndropout {rate}, length {FLAGS.length}, batch {FLAGS.batch_size}')
    print(report.table(run, peak))
    if THEIRS not in run:
      print(f'{THEIRS}: has no {FLAGS.hierarchy} for this length')
  directory = (
    FLAGS.output_dir if FLAGS['output_dir'].present else 'runs/benchmark'
  )
  tf.io.gfile.makedirs(directory)
  path = os.path.join(directory, 'benchmark')
  with tf.io.gfile.GFile(path + '.json', 'w') as f:
    f.write(json.dumps(results, indent=1))
  report.plot(results, path + '.png')
  print(f'\noutput    {path}.json, {path}.png')


def _read_flags(argv):
  command.start(argv)
  for flag in FLAGS.flags_by_module_dict()[trainer_flags.__name__]:
    if flag.present and flag.name not in _USED_FLAGS:
      raise UserError(f'--{flag.name} has no effect here; leave it out')
  if FLAGS.quick:
    for name, value in _QUICK.items():
      if not FLAGS[name].present:
        setattr(FLAGS, name, value)
    if not FLAGS['baseline'].present:
      FLAGS.baseline = '4@1'
  check_positive(
    length=FLAGS.length,
    batch_size=FLAGS.batch_size,
    repeats=FLAGS.repeats,
  )


@contextlib.contextmanager
def _compiled_anew():
  """Lets XLA compile what it has compiled before, to be timed."""
  old = jax.config.jax_enable_compilation_cache
  jax.config.update('jax_enable_compilation_cache', False)
  try:
    yield
  finally:
    jax.config.update('jax_enable_compilation_cache', old)


def _settings():
  names = 'hierarchy', 'baseline', 'length', 'batch_size', 'd_model', 'n_heads'
  return {name: FLAGS[name].value for name in names}


def _rate(text):
  try:
    return float(text)
  except ValueError:
    raise UserError(f'--dropout: got {text!r}, expected rates') from None


def _contenders(dropout):
  return contenders(
    hierarchy=FLAGS.hierarchy,
    baseline=FLAGS.baseline,
    length=FLAGS.length,
    d_model=FLAGS.d_model,
    n_heads=FLAGS.n_heads,
    dropout=dropout,
  )


def _measure(named):
  """Returns facts and step times of each model, by name."""
  steps_of = {
    name: steps.TrainingStep(build, FLAGS.length, FLAGS.batch_size)
    for name, build in tqdm.tqdm(
      named.items(), 'compiling', leave=False, disable=not sys.stderr.isatty()
    )
  }
  seconds = steps.take_turns(steps_of, FLAGS.repeats)
  return {
    name: {**step.facts, 'step': seconds[name]}
    for name, step in steps_of.items()
  }


if __name__ == '__main__':
  main(sys.argv)
