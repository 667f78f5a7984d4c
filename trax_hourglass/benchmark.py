"""Measures models side by side: python -m trax_hourglass.benchmark.

Our Hourglass, the one of `trax.models`, our Transformer-XL baseline and, where
PyTorch is installed, the package hourglass-transformer-pytorch take turns, so
that a busy machine is as unfair to one as to another. `--what` chooses among

  step      gradient and Adam, one jitted function, weights and slots donated;
  gradient  the gradient alone;
  forward   the loss in mode 'eval'.

Prints a table for each, and writes benchmark.json and benchmark.png to
--output_dir, runs/benchmark by default. `--table1` measures steps of the
paper's Table 1 instead, models and lengths from their gin files, and writes
table1.json and table1.png; `--config` changes a binding of all of them.
`--generation` measures generation with caches, the longest of --length tokens,
8192 by default, and writes generation.json and generation.png.
"""

from collections.abc import Sequence
import contextlib
import copy
import json
import os
import sys

from absl import flags
import jax
import tensorflow as tf
import tqdm
from trax import trainer_flags

from trax_hourglass import hierarchy as hierarchy_lib
from trax_hourglass.configuration import (
  command_line,
  directories,
  exits,
  explain,
  length_flag,
  reading,
  values,
)
from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.lab.benchmarks import (
  generation,
  operations,
  pytorch,
  report,
  table1,
)
from trax_hourglass.lab.benchmarks.contenders import (
  BASELINE,
  OURS,
  THEIRS,
  contenders,
)
from trax_hourglass.lab.benchmarks.steps import (
  WORKS,
  Program,
  take_turns,
  training_step,
)
from trax_hourglass.layers.checks import check_dropout, check_heads

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(trainer_flags)
flags.adopt_module_key_flags(length_flag)
flags.DEFINE_string(
  'hierarchy', '2@1 8@4 2@1', 'The levels of both Hourglass models.'
)
flags.DEFINE_string('baseline', '12@1', 'The levels of the Transformer-XL.')
flags.DEFINE_integer('batch_size', 1, 'Sequences in a batch.')
flags.DEFINE_integer('d_model', 512, 'Width of the activations; d_ff is 4 x.')
flags.DEFINE_integer('n_heads', 8, 'Number of attention heads.')
flags.DEFINE_list('dropout', ['0', '0.1'], 'Rates, each measured by itself.')
flags.DEFINE_list('what', ['step'], f'Of {", ".join(WORKS)}.')
flags.DEFINE_list(
  'models', [OURS, BASELINE, THEIRS, pytorch.NAME], 'Those that take turns.'
)
flags.DEFINE_bool('rematerialize', False, 'Ours trade time for memory.')
flags.DEFINE_integer('repeats', 5, 'Times that each is timed.')
flags.DEFINE_bool(
  'quick', False, 'A model and a sequence small enough for two minutes.'
)
flags.DEFINE_bool('table1', False, "The rows of the paper's Table 1.")
flags.DEFINE_bool('generation', False, 'Generation with caches.')

_LENGTH, _CACHE = 2048, 8192
_QUICK = {
  'length': 512,
  'd_model': 128,
  'hierarchy': '1@1 2@4 1@1',
  'baseline': '4@1',
}
# Of those that all commands have.
_USED_FLAGS = ('log_level', 'output_dir')
# What the gin files of Table 1 say.
_NOT_OF_TABLE_1 = (
  *_QUICK,
  'n_heads',
  'dropout',
  'what',
  'models',
  'rematerialize',
  'quick',
  'generation',
)
_NOT_OF_GENERATION = (
  'batch_size',
  'dropout',
  'what',
  'models',
  'rematerialize',
)


@exits.exit_codes()
def main(argv: Sequence[str]) -> None:
  _read_flags(argv)
  with directories.writable(_output_dir()):
    _run()


def _run():
  peak = operations.matrix_product_rate()
  print(
    f'{jax.devices()[0].device_kind}: products of 2048 x 2048 matrices at '
    f'{peak / report.GIGA:.0f} GFLOP/s'
  )
  if FLAGS.generation:
    _generation(peak)
    return
  with _compiled_anew():
    if FLAGS.table1:
      _table1(peak)
    else:
      _side_by_side(peak)


def _read_flags(argv):
  command_line.start(argv)
  command_line.check_used(*_USED_FLAGS, *(['config'] if FLAGS.table1 else ()))
  if FLAGS.table1:
    for name in _NOT_OF_TABLE_1:
      if FLAGS[name].present:
        raise UserError(
          f'--{name} has no effect with --table1; --config changes what its '
          'gin files say'
        )
  if FLAGS.generation:
    for name in _NOT_OF_GENERATION:
      if FLAGS[name].present:
        raise UserError(
          f'--{name} has no effect with --generation; leave it out'
        )
  if FLAGS.quick:
    for name, value in _QUICK.items():
      if not FLAGS[name].present:
        setattr(FLAGS, name, value)
  FLAGS.length = length_flag.length(_CACHE if FLAGS.generation else _LENGTH)
  check_positive(
    **{
      f'--{name}': FLAGS[name].value
      for name in ('length', 'batch_size', 'n_heads', 'd_model', 'repeats')
    }
  )
  _check_lists()
  _check_models()


def _check_lists():
  for flag, known in (('what', WORKS), ('models', FLAGS['models'].default)):
    for name in FLAGS[flag].value or ['']:
      if name not in known:
        names = ', '.join(known)
        raise UserError(f'--{flag}: got {name!r}, expected some of {names}')
  for text in FLAGS.dropout or ['']:
    try:
      check_dropout(float(text))
    except ValueError:
      raise UserError(
        f'--dropout: got {text!r}, expected rates, at least 0 and below 1, as '
        '0,0.1'
      ) from None


def _check_models():
  """Raises `UserError` now, rather than when some models are measured."""
  check_heads(FLAGS.d_model, FLAGS.n_heads)
  hierarchy_lib.parse(FLAGS.hierarchy)
  if hierarchy_lib.parse(FLAGS.baseline).inners:
    raise UserError(
      f'--baseline: got {FLAGS.baseline!r}, expected the blocks of a '
      'Transformer-XL, which shortens nothing, such as 12@1'
    )
  if FLAGS.generation:
    generation.Places.of(FLAGS.length, FLAGS.repeats)
  if FLAGS.table1:
    _configure(table1.ROWS[0].hierarchy).warn()


@contextlib.contextmanager
def _compiled_anew():
  """Lets XLA compile what it has compiled before, to be timed."""
  old = jax.config.jax_enable_compilation_cache
  jax.config.update('jax_enable_compilation_cache', False)
  try:
    yield
  finally:
    jax.config.update('jax_enable_compilation_cache', old)


def _side_by_side(peak):
  results = {'peak': peak, 'settings': _settings(), 'runs': []}
  for what, dropout in _runs():
    print(
      f'\n{what}, dropout {dropout:g}, length {FLAGS.length}, batch '
      f'{FLAGS.batch_size}'
    )
    models, remarks = _measure(what, dropout)
    results['runs'].append({'what': what, 'dropout': dropout, 'models': models})
    print(report.table(results['runs'][-1], peak))
    for name, remark in remarks.items():
      print(f'{name}: {remark}')
  path = _write('benchmark', results)
  report.plot(results, path + '.png')


def _runs():
  """Returns what to measure, with which rate of dropout."""
  return [
    (what, dropout)
    for what in FLAGS.what
    # Evaluation drops nothing.
    for dropout in ([0.0] if what == 'forward' else map(float, FLAGS.dropout))
  ]


def _measure(what, dropout):
  """Returns facts and times of each model, by name, and remarks on some."""
  sizes = {
    'length': FLAGS.length,
    'd_model': FLAGS.d_model,
    'n_heads': FLAGS.n_heads,
  }
  builds = contenders(
    hierarchy=FLAGS.hierarchy,
    baseline=FLAGS.baseline,
    dropout=dropout,
    rematerialize=FLAGS.rematerialize,
    **sizes,
  )
  level = hierarchy_lib.parse(FLAGS.hierarchy)
  absence = pytorch.why_not(level, length=FLAGS.length, dropout=dropout)
  remarks = {pytorch.NAME: absence or pytorch.NOTE}
  if THEIRS not in builds:
    remarks[THEIRS] = f'has no {FLAGS.hierarchy} for this length'
  remarks = {name: remarks[name] for name in remarks if name in FLAGS.models}
  builds = {
    name: build
    for name, build in builds.items()
    if name.split()[0] in FLAGS.models
  }
  with contextlib.ExitStack() as stack:
    measured = {
      name: Program(WORKS[what], build, FLAGS.length, FLAGS.batch_size)
      for name, build in tqdm.tqdm(
        builds.items(),
        'compiling',
        leave=False,
        disable=not sys.stderr.isatty(),
      )
    }
    if pytorch.NAME in FLAGS.models and not absence:
      child = pytorch.Child(what, level, batch_size=FLAGS.batch_size, **sizes)
      measured[pytorch.NAME] = stack.enter_context(contextlib.closing(child))
    seconds = take_turns(measured, FLAGS.repeats)
  models = {
    name: {**measured[name].facts, 'seconds': seconds[name]}
    for name in measured
  }
  return models, remarks


def _table1(peak):
  lengths = set()

  def program_of(hierarchy):
    _configure(hierarchy)
    model = _bound('train.model')
    length = _bound('trax_hourglass.text_inputs.length')
    lengths.add(length)
    with explain.config_errors():
      return Program(
        training_step,
        lambda mode: model(mode=mode),
        length,
        FLAGS.batch_size,
      )

  measured = table1.measure(program_of, FLAGS.repeats)
  title = (
    f'Table 1: training steps, length {"/".join(map(str, lengths))}, batch '
    f'{FLAGS.batch_size}, {jax.devices()[0].device_kind}'
  )
  print(f'\n{title}\n{table1.table(measured)}')
  print(
    "ours: arguments (weights, Adam's slots) and temporaries of the compiled "
    'step; the paper: batch 8 on four Titan V'
  )
  settings = {'lengths': sorted(lengths), 'batch_size': FLAGS.batch_size}
  path = _write(
    'table1', {'peak': peak, 'settings': settings, 'models': measured}
  )
  table1.plot(measured, title, path + '.png')


def _configure(hierarchy):
  """Reads the gin file of a row of Table 1; returns what --config binds."""
  return reading.configure(
    config_file=table1.file_name(hierarchy), config=FLAGS.config
  )


def _generation(peak):
  places = generation.Places.of(FLAGS.length, FLAGS.repeats)
  sizes = {'d_model': FLAGS.d_model, 'n_heads': FLAGS.n_heads}
  with explain.config_errors():
    seconds = generation.measure(
      hierarchy=FLAGS.hierarchy,
      baseline=FLAGS.baseline,
      places=places,
      repeats=FLAGS.repeats,
      **sizes,
    )
    caches = generation.cache_ratios(FLAGS.length, **sizes)
  title = (
    f'{FLAGS.hierarchy} and {FLAGS.baseline}, d_model {FLAGS.d_model}, caches '
    f'of {places.cache}, {jax.devices()[0].device_kind}'
  )
  print(
    f'\n{title}\n{", ".join(f"{k} {v}" for k, v in places._asdict().items())}'
  )
  print(generation.table(seconds, caches))
  results = {
    'peak': peak,
    'settings': _settings() | {'places': places._asdict()},
    'seconds': seconds,
    'ratios': generation.ratios(seconds),
    'caches': caches,
  }
  generation.plot(seconds, title, _write('generation', results) + '.png')


def _bound(parameter):
  return copy.deepcopy(values.bound(parameter))


def _settings():
  names = (*_QUICK, 'batch_size', 'n_heads', 'rematerialize')
  return {name: FLAGS[name].value for name in names}


def _output_dir():
  return os.path.expanduser(FLAGS.output_dir or 'runs/benchmark')


def _write(name, results):
  """Writes results as JSON and returns their path without suffix."""
  path = os.path.join(_output_dir(), name)
  with tf.io.gfile.GFile(path + '.json', 'w') as file:
    file.write(json.dumps(results, indent=1))
  print(f'\noutput    {path}.json, {path}.png')
  return path


if __name__ == '__main__':
  main(sys.argv)
