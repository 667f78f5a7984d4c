"""Experiments: a gin file with variants of a model, and their runs."""

from collections.abc import Iterable, Mapping, Sequence
import contextlib
import dataclasses
import gc
import math
import os
import re
import shutil

import gin
import jax

from trax_hourglass import commands
from trax_hourglass.configuration import explain, reading
from trax_hourglass.configuration.reading import Configuration
from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.generation import completion
from trax_hourglass.lab.reproduction import results
from trax_hourglass.training import learning_curves
from trax_hourglass.training.checkpoints import locking


@dataclasses.dataclass(frozen=True)
class Variants:
  """The variants of an experiment: `trax_hourglass.reproduce` in its gin file.

  Attributes:
    variants: For each name the bindings that make the variant, on top of the
      file's.
    evaluations: For each name a variant whose models are scored once more, and
      the bindings, on top of the variant's, with which they are.
    seeds: The number of runs of each variant, with seeds 0, 1, ....
    groups: Pairs of variants and their number of seeds, in the order in which
      the groups are trained. By default one group of all variants.
    candidates: Alternative bindings by name. Those that end with the fewest
      bits in a trial are added to all variants.
    trial: Bindings with which the candidates are compared, with seed 0.
    costs: For each setting bindings with which the costs of steps are measured,
      and the variants that take turns.
    repeats: The number of steps of each that are timed.

  Raises:
    UserError: If there are no variants, seeds or repeats, or the groups do not
      have each variant once.
  """

  variants: Mapping[str, Sequence[str]]
  evaluations: Mapping[str, tuple[str, Sequence[str]]] = dataclasses.field(
    default_factory=dict
  )
  seeds: int = 3
  costs: Mapping[str, tuple[Sequence[str], Sequence[str]]] = dataclasses.field(
    default_factory=dict
  )
  repeats: int = 7
  groups: Sequence[tuple[Sequence[str], int]] = ()
  candidates: Mapping[str, Sequence[str]] = dataclasses.field(
    default_factory=dict
  )
  trial: Sequence[str] = ()

  def __post_init__(self):
    check_positive(seeds=self.seeds, repeats=self.repeats)
    if not self.variants:
      raise UserError(
        'trax_hourglass.reproduce.variants: got none, expected names with '
        'lists of bindings'
      )
    grouped = [name for names, _ in self.groups for name in names]
    if self.groups and sorted(grouped) != sorted(self.variants):
      raise UserError(
        f'trax_hourglass.reproduce.groups: got {", ".join(grouped)}, expected '
        f'each variant once: {", ".join(self.variants)}'
      )

  def runs(self, names: Iterable[str]) -> list[tuple[int, int, str]]:
    """Returns group, seed and variant of each run, in the order of training.

    Args:
      names: The variants to train.
    """
    trained = list(dict.fromkeys(map(self.trained, names)))
    groups = self.groups or [(trained, self.seeds)]
    return [
      (i, seed, name)
      for i, (group, seeds) in enumerate(groups)
      for seed in range(seeds)
      for name in group
      if name in trained
    ]

  @property
  def planned(self) -> list[str]:
    """The candidate or variant of each run."""
    return [*self.candidates, *(name for *_, name in self.runs(self.variants))]

  def trained(self, name: str) -> str:
    """Returns the variant that is trained for a variant or an evaluation."""
    return self.evaluations[name][0] if name in self.evaluations else name


# Of the validation split, patches of different photographs.
_COMPLETED = (5, 90, 170, 250, 330)


@dataclasses.dataclass(frozen=True)
class Experiment:
  """A gin file of `gin/reproduction`, and its results.

  Attributes:
    name: The name of the file, and of the results.
    directory: The directory of the results.
    config: Bindings on top of all others.
  """

  name: str
  directory: str
  config: tuple[str, ...] = ()

  @property
  def file(self) -> str:
    return f'reproduction/{self.name}.gin'

  def path(self, kind: str = '') -> str:
    """Returns the path of the results of a kind, by default of the runs."""
    suffix = f'_{kind}' if kind else ''
    return os.path.join(self.directory, f'{self.name}{suffix}.json')

  def configuration(self, bindings: Sequence[str] = ()) -> Configuration:
    """Returns the experiment's configuration, with bindings of a variant."""
    return {'config_file': self.file, 'config': [*bindings, *self.config]}

  def configure(self, bindings: Sequence[str] = ()) -> None:
    """Binds gin to the experiment, with bindings of a variant."""
    reading.configure(**self.configuration(bindings))

  def variants(self) -> Variants:
    """Returns the variants that the gin file has.

    Raises:
      UserError: If it cannot be read.
    """
    self.configure()
    with explain.config_errors():
      return gin.get_configurable('trax_hourglass.reproduce')()

  def records(self, kind: str = '') -> list[dict]:
    """Returns the results of a kind, by default of the runs.

    Raises:
      UserError: If they are of another configuration.
    """
    return results.read(self.path(kind), self._settings())

  def add(self, records: Sequence[dict], kind: str = '') -> None:
    """Adds records to the results of a kind, by default of the runs."""
    results.add(self.path(kind), self._settings(), records)

  def run(self, variants: Variants, name: str, seed: int) -> list[dict]:
    """Trains a variant and adds its records to the results.

    Args:
      variants: The experiment's variants.
      name: The name of one of them, or of a candidate.
      seed: The seed of data and model.

    Returns:
      The new records; none if they are there, or another process is at work.
    """
    if self.is_there(name, seed):
      return []
    slug = re.sub(r'[^0-9a-zA-Z@]+', '_', name)
    records = []
    with self._locked(f'{slug}_seed{seed}') as output_dir:
      if output_dir is not None:
        # No other process trains it now, but one may have.
        if not self.is_there(name, seed):
          records = self._train(variants, name, seed, output_dir)
          self.add(records)
        shutil.rmtree(output_dir)
    return records

  def chosen(self, variants: Variants) -> str | None:
    """Returns the best candidate; `None` until all have been tried."""
    trials = [results.find(self.records(), c, 0) for c in variants.candidates]
    if not trials or None in trials:
      return None
    return min(trials, key=lambda record: record['bits'])['variant']

  def is_ready(self, variants: Variants) -> bool:
    """Returns whether the variants can be trained: candidates come first."""
    return not variants.candidates or self.chosen(variants) is not None

  def is_there(self, name: str, seed: int) -> bool:
    """Returns whether a run's record is there."""
    return results.find(self.records(), name, seed) is not None

  def _train(self, variants, name, seed, output_dir):
    bindings = [*self._bindings(variants, name), f'SEED = {seed}']
    run = commands.train(output_dir, **self.configuration(bindings))
    accuracy = run.loop.history.get('eval', 'metrics/accuracy')
    curves = learning_curves.curves(run.loop.history, run.loop.measure)
    training = {
      'seed': seed,
      'weights': sum(w.size for w in jax.tree.leaves(run.loop.model.weights)),
      'steps': run.loop.step,
      'scored_on': run.score.source,
      'accuracy': float(accuracy[-1][1]),
      'curve': [[step, round(x, 4)] for step, x in curves['validation']],
    }
    if variants.candidates and name not in variants.candidates:
      training['chosen'] = self.chosen(variants)
    records = [{'variant': name, **_score_fields(run.score), **training}]
    for other, (trained, more) in variants.evaluations.items():
      if trained == name:
        score = commands.evaluate(
          output_dir, **self.configuration([*bindings, *more])
        )
        records.append({'variant': other, **_score_fields(score), **training})
    del run
    jax.clear_caches()
    gc.collect()  # Layers are in cycles, and with them weights.
    return records

  def _bindings(self, variants, name):
    if name in variants.candidates:
      return [*variants.trial, *variants.candidates[name]]
    chosen = variants.candidates.get(self.chosen(variants), ())
    return [*variants.variants[name], *chosen]

  def complete(self, picture: str) -> None:
    """Trains a model of images, and writes a picture that it completed."""
    if self.records():
      return
    with self._locked('model') as output_dir:
      if output_dir is not None and not self.records():
        self._complete(picture, output_dir)

  def _complete(self, picture, output_dir):
    run = commands.train(output_dir, **self.configuration())
    found = commands.complete_images(
      output_dir, _COMPLETED, **self.configuration()
    )
    completion.plot_completions(found.completions, found.source, picture)
    self.add(
      [
        {
          'variant': self.name,
          'setting': '',
          'steps': run.loop.step,
          **_score_fields(run.score),
          'source': found.source,
          'temperature': 1.0,
          'images': list(found.numbers),
          'bits_per_dim': found.completions.bits.tolist(),
        }
      ]
    )

  @contextlib.contextmanager
  def _locked(self, name):
    """Yields the directory of a run; `None` if another process has it."""
    output_dir = os.path.join(self.directory, 'runs', self.name, name)
    os.makedirs(output_dir, exist_ok=True)
    with contextlib.ExitStack() as stack:
      try:
        stack.enter_context(locking.locked(output_dir))
      except locking.InUseError:
        output_dir = None
      yield output_dir

  def _settings(self):
    return {'file': f'gin/{self.file}', 'config': list(self.config)}


def _score_fields(score):
  error = score.standard_error
  # JSON has no nan.
  error = None if math.isnan(error) else error
  return {'bits': score.bits, 'standard_error': error}
