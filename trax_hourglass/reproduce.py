"""The paper in small: python -m trax_hourglass.reproduce --study=table5.

Trains the variants that a study compares, each with several seeds, and writes
what came of them to --output_dir: JSON and pictures. What is there is not done
again, and what was stopped goes on, so the same command may be started twice to
share the work. Last it writes REPRODUCTION.md from all that is there.
"""

from collections.abc import Sequence
import copy
import math
import os
import sys

from absl import flags
import gin
from trax import trainer_flags

from trax_hourglass.configuration import (
  command_line,
  directories,
  exits,
  explain,
  reading,
  registration,
  values,
)
from trax_hourglass.errors import UserError
from trax_hourglass.lab.reproduction import (
  costs,
  experiments,
  page,
  prepared,
  results,
)
from trax_hourglass.lab.reproduction.claims import TEXT
from trax_hourglass.lab.reproduction.long_studies import GPU, TINY
from trax_hourglass.lab.reproduction.sections import Results
from trax_hourglass.lab.reproduction.studies import (
  CHUNKS,
  COMPLETIONS,
  LENGTHS,
  PHOTOGRAPHS,
  STUDIES,
)
from trax_hourglass.training import interruption

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(trainer_flags)
flags.DEFINE_list(
  'study',
  [name for name in STUDIES if name != GPU],
  f'Which to do: some of {", ".join(STUDIES)}. By default all but {GPU}.',
)
flags.DEFINE_float(
  'minutes',
  None,
  'Save and stop after so many minutes; the same command goes on. A '
  'compilation under way ends first.',
)
flags.DEFINE_bool(
  'costs', True, 'Time steps, which needs a machine that does nothing else.'
)
flags.DEFINE_bool(
  'page', False, 'Do none, but write the page from what is there.'
)

_USED_FLAGS = ('config', 'log_level', 'output_dir')
_RESULTS, _PAGE = 'results', 'REPRODUCTION.md'
_TRAINED = (TEXT, TINY, GPU, PHOTOGRAPHS, LENGTHS, CHUNKS)
_COSTS, _OPERATIONS, _STEPS = 'costs', 'operations', 'steps'


@exits.exit_codes()
def main(argv: Sequence[str]) -> None:
  names, directory, config, is_page_alone = _read_flags(argv)

  def experiment(name):
    return experiments.Experiment(name, directory, config)

  # A mistake is told now, rather than when something is trained.
  with directories.writable(directory):
    for name in _TRAINED:
      _variants(experiment(name))
  if not is_page_alone:
    _do(names, experiment, directory)
  print(f'output    {_write_page(directory, experiment)}')


def _do(names, experiment, directory):
  """Trains and measures for the studies, as far as the time limit allows."""
  limit = interruption.Limit()
  try:
    with interruption.time_limit(FLAGS.minutes) as limit:
      for name in names:
        _count_steps(STUDIES[name], experiment)
      n_missing = _train(names, experiment)
      if n_missing:
        print(f'left to another process: {n_missing} runs, and the costs')
      else:
        _do_the_rest(names, experiment, directory)
  except interruption.Interrupted as error:
    if not limit.is_over:
      raise
    print(f'{error}, after {FLAGS.minutes:g} minutes; start it again for more')


def _do_the_rest(names, experiment, directory):
  """Does what is no run of a variant: steps are timed when no run goes on."""
  for study in map(STUDIES.get, names):
    for name in study.costs:
      if FLAGS.costs:
        _measure(experiment(name))
  if 'section3_1' in names:
    _count_operations(experiment(LENGTHS))
  if 'tables2and3' in names:
    _count_trainings(directory)
  if 'figure8' in names:
    experiment(COMPLETIONS).complete(os.path.join(directory, 'figure8.png'))


def _read_flags(argv):
  command_line.start(argv)
  command_line.check_used(*_USED_FLAGS)
  for name in FLAGS.study or ['']:
    if name not in STUDIES:
      raise UserError(
        f'--study: got {name!r}, expected some of {", ".join(STUDIES)}'
      )
  for name in ('study', 'minutes', 'costs'):
    if FLAGS.page and FLAGS[name].present:
      raise UserError(
        f'--{name} has no effect with --page; leave one of them out'
      )
  if FLAGS.minutes is not None and not 0 < FLAGS.minutes < math.inf:
    raise UserError(f'--minutes: got {FLAGS.minutes:g}, expected more than 0')
  is_elsewhere = FLAGS['output_dir'].present
  if FLAGS.config and not is_elsewhere:
    raise UserError(
      f'--config: got {FLAGS.config[0]!r} for results in {_RESULTS}, which are '
      'those of the gin files; give another --output_dir'
    )
  directory = FLAGS.output_dir if is_elsewhere else _RESULTS
  return FLAGS.study, directory, tuple(FLAGS.config or ()), FLAGS.page


def _train(names, experiment):
  """Trains the studies' variants: group by group, in a group seed by seed.

  Returns how many runs are not there yet, for another process is at them.
  """
  wanted = {}
  for study in map(STUDIES.get, names):
    for name, rows in study.rows.items():
      wanted.setdefault(name, []).extend(row.variant for row in rows)
  todo = []
  for name, rows in wanted.items():
    of, variants = experiment(name), _variants(experiment(name))
    trials = [(-1, 0, candidate) for candidate in variants.candidates]
    todo += [(*run, of, variants) for run in (*trials, *variants.runs(rows))]
  todo.sort(key=lambda run: run[:2])  # By group and seed.
  for group, seed, variant, of, variants in todo:
    if group < 0 or of.is_ready(variants):
      for record in of.run(variants, variant, seed):
        print(
          f'{of.name}  {record["variant"]}  seed {seed}  '
          f'{record["bits"]:.4f} bits',
          flush=True,
        )
  return sum(not of.is_there(variant, seed) for _, seed, variant, of, _ in todo)


def _measure(experiment):
  """Measures what steps of an experiment cost."""
  variants = _variants(experiment)
  there = {
    (record['setting'], record['variant'])
    for record in experiment.records(_COSTS)
  }
  for setting, (bindings, names) in variants.costs.items():
    if there.issuperset((setting, name) for name in names):
      continue  # Else all of them, for they take turns.
    print(f'{experiment.name}  costs  {setting}', flush=True)
    models = _models(experiment, variants, names, bindings)
    measured = costs.of_steps(models, variants.repeats)
    experiment.add(
      [
        {'variant': name, 'setting': setting, **cost}
        for name, cost in measured.items()
      ],
      _COSTS,
    )


def _count_steps(study, experiment):
  """Counts the operations of steps, without running any."""
  for of in map(experiment, study.counts):
    variants = _variants(of)
    counted = {record['variant'] for record in of.records(_STEPS)}
    missing = [name for name in variants.variants if name not in counted]
    for name, model in _models(of, variants, missing, []):
      with explain.config_errors():
        record = {
          'length': model.length,
          'batch_size': model.batch_size,
          'operations': costs.training_operations(model, steps=1),
        }
      of.add([{'variant': name, 'setting': '', **record}], _STEPS)


def _models(experiment, variants, names, bindings):
  """Yields each variant, while gin is bound to what it is."""
  for name in names:
    _parse(experiment, [*variants.variants[name], *bindings])
    yield name, _bound_model()


def _bound_model(length=None):
  """Returns what gin is bound to; it holds for as long as that is so."""

  def build(mode):
    return _bound('train.model')(mode=mode)

  inputs = str(values.bound('train.inputs')).removeprefix('@')
  return costs.Model(
    build,
    length or _bound(f'{inputs}.length'),
    _bound(f'{inputs}.batch_size'),
  )


def _count_operations(experiment):
  if not experiment.records(_OPERATIONS):
    _parse(experiment, [])
    count = gin.get_configurable('trax_hourglass.level_operations')
    experiment.add(count(), _OPERATIONS)


def _count_trainings(directory):
  """Counts the operations of trainings that are prepared."""
  if results.read(_trainings(directory), {}):
    return
  records = []
  for row in prepared.COUNTED:
    files = sorted(registration.GIN_DIRECTORY.glob(row.files))
    print(f'operations of {row.files}: {len(files)} files', flush=True)
    record = {'variant': row.files, 'setting': '', 'operations': 0}
    for file in files:
      reading.configure(config_file=str(file))
      with explain.config_errors():
        record['operations'] += costs.training_operations(
          _bound_model(row.tokens), _bound('train.steps')
        )
    records.append(record)
  results.add(_trainings(directory), {}, records)


def _trainings(directory):
  return os.path.join(directory, 'trainings.json')


def _write_page(directory, experiment):
  """Writes the page and its pictures; returns its path."""
  found = Results(
    directory,
    records={name: experiment(name).records() for name in _TRAINED},
    costs={name: experiment(name).records(_COSTS) for name in _TRAINED},
    steps={name: experiment(name).records(_STEPS) for name in _TRAINED},
    operations=experiment(LENGTHS).records(_OPERATIONS),
    completions=experiment(COMPLETIONS).records(),
    trainings=results.read(_trainings(directory), {}),
    wanted={name: _n_runs(_variants(experiment(name))) for name in _TRAINED},
  )
  is_elsewhere = directory != _RESULTS
  path = os.path.join(directory, _PAGE) if is_elsewhere else _PAGE
  page.write(found, path)
  return path


def _n_runs(variants):
  return len(variants.runs(variants.variants)) + len(variants.candidates)


def _variants(experiment):
  _parse(experiment, [])
  with explain.config_errors():
    return gin.get_configurable('trax_hourglass.reproduce')()


def _parse(experiment, bindings):
  reading.configure(**experiment.configuration(bindings))


def _bound(name):
  return copy.deepcopy(values.bound(name))


if __name__ == '__main__':
  main(sys.argv)
