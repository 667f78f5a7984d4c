"""Runs studies: trains their variants, measures, and writes the pages."""

from collections.abc import Sequence
import os

from trax_hourglass.configuration import directories
from trax_hourglass.lab.reproduction import measuring, page
from trax_hourglass.lab.reproduction.claims import TEXT
from trax_hourglass.lab.reproduction.experiments import Experiment
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

_TRAINED = (TEXT, TINY, GPU, PHOTOGRAPHS, LENGTHS, CHUNKS)


class Reproduction:
  """The studies, with results in a directory."""

  def __init__(self, directory: str, config: Sequence[str] = ()):
    """Takes the directory and bindings on top of those of all experiments.

    Raises:
      UserError: If the directory cannot be written, or an experiment's gin
        file cannot be read with the bindings.
    """
    self._directory = directory
    self._config = tuple(config)
    with directories.writable(directory):
      for name in _TRAINED:
        self._experiment(name).variants()

  def reproduce(
    self,
    studies: Sequence[str],
    *,
    minutes: float | None = None,
    time_steps: bool = True,
  ) -> None:
    """Trains and measures whatever is missing of some studies.

    Args:
      studies: Names of `studies.STUDIES`.
      minutes: Save and stop after that many.
      time_steps: Whether to time steps, once no training is left.

    Raises:
      Interrupted: If a signal stops it, when all is saved.
    """
    limit = interruption.Limit()
    try:
      with interruption.time_limit(minutes) as limit:
        for name in studies:
          for experiment in STUDIES[name].counts:
            measuring.count_steps(self._experiment(experiment))
        n_missing = self._train(studies)
        if n_missing:
          print(f'left to another process: {n_missing} runs, and the costs')
        else:
          self._measure(studies, time_steps)
    except interruption.Interrupted as error:
      if not limit.is_over:
        raise
      print(f'{error}, after {minutes:g} minutes; start it again for more')

  def write_page(self, path: str, verdicts_path: str | None = None) -> None:
    """Writes the page as `page.write` does."""
    trained = {name: self._experiment(name) for name in _TRAINED}
    variants = {name: trained[name].variants() for name in trained}
    found = Results(
      self._directory,
      records={name: trained[name].records() for name in trained},
      costs={name: trained[name].records(measuring.COSTS) for name in trained},
      steps={name: trained[name].records(measuring.STEPS) for name in trained},
      operations=trained[LENGTHS].records(measuring.OPERATIONS),
      completions=self._experiment(COMPLETIONS).records(),
      trainings=measuring.trainings(self._directory),
      planned={name: variants[name].planned for name in variants},
      candidates={name: variants[name].candidates for name in variants},
    )
    page.write(found, path, verdicts_path)

  def _experiment(self, name):
    return Experiment(name, self._directory, self._config)

  def _train(self, studies) -> int:
    """Trains the studies' variants: group by group, in a group seed by seed.

    Returns the number of runs that are left, which another process is doing.
    """
    wanted = {}
    for study in map(STUDIES.get, studies):
      for name, rows in study.rows.items():
        wanted.setdefault(name, []).extend(row.variant for row in rows)
    todo = []
    for name, rows in wanted.items():
      experiment = self._experiment(name)
      variants = experiment.variants()
      trials = [(-1, 0, candidate) for candidate in variants.candidates]
      runs = (*trials, *variants.runs(rows))
      todo += [(*run, experiment, variants) for run in runs]
    todo.sort(key=lambda run: run[:2])  # By group and seed.
    for group, seed, variant, experiment, variants in todo:
      if group < 0 or experiment.is_ready(variants):
        for record in experiment.run(variants, variant, seed):
          print(
            f'{experiment.name}  {record["variant"]}  seed {seed}  '
            f'{record["bits"]:.4f} bits',
            flush=True,
          )
    return sum(
      not experiment.is_there(variant, seed)
      for _, seed, variant, experiment, _ in todo
    )

  def _measure(self, studies, time_steps):
    """Measures what needs no training, once no run is left."""
    for study in map(STUDIES.get, studies):
      for name in study.costs if time_steps else ():
        measuring.measure_costs(self._experiment(name))
    if 'section3_1' in studies:
      measuring.count_operations(self._experiment(LENGTHS))
    if 'tables2and3' in studies:
      measuring.count_trainings(self._directory)
    if 'figure8' in studies:
      picture = os.path.join(self._directory, 'figure8.png')
      self._experiment(COMPLETIONS).complete(picture)
