"""Measurements of an experiment's models that need no training."""

from collections.abc import Iterator, Sequence
import os

import gin

from trax_hourglass.configuration import (
  explain,
  reading,
  registration,
  values,
)
from trax_hourglass.lab.reproduction import costs, prepared, results
from trax_hourglass.lab.reproduction.experiments import Experiment

# Results of an experiment beside those of its runs.
COSTS, OPERATIONS, STEPS = 'costs', 'operations', 'steps'


def measure_costs(experiment: Experiment) -> None:
  """Measures the costs of steps, in each setting of the experiment."""
  variants = experiment.variants()
  there = {
    (record['setting'], record['variant'])
    for record in experiment.records(COSTS)
  }
  for setting, (bindings, names) in variants.costs.items():
    if there.issuperset((setting, name) for name in names):
      continue  # Else all of them, for they take turns.
    print(f'{experiment.name}  costs  {setting}', flush=True)
    models = _models(experiment, names, bindings)
    measured = costs.step_costs(models, variants.repeats)
    experiment.add(
      [
        {'variant': name, 'setting': setting, **cost}
        for name, cost in measured.items()
      ],
      COSTS,
    )


def count_steps(experiment: Experiment) -> None:
  """Counts the operations of a step of each variant, without running any."""
  counted = {record['variant'] for record in experiment.records(STEPS)}
  names = experiment.variants().variants
  missing = [name for name in names if name not in counted]
  for name, model in _models(experiment, missing):
    with explain.config_errors():
      record = {
        'length': model.length,
        'batch_size': model.batch_size,
        'operations': costs.training_operations(model, steps=1),
      }
    experiment.add([{'variant': name, 'setting': '', **record}], STEPS)


def count_operations(experiment: Experiment) -> None:
  """Counts the operations of a level, for each shorten factor."""
  if not experiment.records(OPERATIONS):
    experiment.configure()
    count = gin.get_configurable('trax_hourglass.level_operations')
    experiment.add(count(), OPERATIONS)


def trainings(directory: str) -> list[dict]:
  """Returns the operations of the paper's own experiments, if counted."""
  return results.read(_trainings(directory), {})


def count_trainings(directory: str) -> None:
  """Counts the operations of the paper's own experiments."""
  if trainings(directory):
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
          _bound_model(row.tokens), values.value('train.steps')
        )
    records.append(record)
  results.add(_trainings(directory), {}, records)


def _trainings(directory):
  return os.path.join(directory, 'trainings.json')


def _models(
  experiment, names, bindings: Sequence[str] = ()
) -> Iterator[tuple[str, costs.Model]]:
  """Yields each variant, with gin bound to it until the next one."""
  variants = experiment.variants().variants
  for name in names:
    experiment.configure([*variants[name], *bindings])
    yield name, _bound_model()


def _bound_model(length=None) -> costs.Model:
  """Returns the model that gin is bound to, for as long as it is."""
  inputs = str(values.bound('train.inputs')).removeprefix('@')
  return costs.Model(
    lambda mode: values.value('train.model')(mode=mode),
    length or values.value(f'{inputs}.length'),
    values.value(f'{inputs}.batch_size'),
  )
