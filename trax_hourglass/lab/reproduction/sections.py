"""The sections of the page, one for each study, and their tables."""

from collections.abc import Callable, Collection, Mapping, Sequence
import dataclasses
import os
import statistics

from trax_hourglass.lab.benchmarks.report import GIGA, MIB
from trax_hourglass.lab.reproduction import analysis, pictures, results
from trax_hourglass.lab.reproduction.analysis import Verdict
from trax_hourglass.lab.reproduction.claims import Claim, Row, Study
from trax_hourglass.lab.reproduction.studies import EXPERIMENTS


@dataclasses.dataclass(frozen=True)
class Results:
  """All results that there are.

  Attributes:
    directory: The folder for pictures.
    records: Records of runs, by experiment.
    costs: Records of the costs of steps, by experiment.
    steps: Operations of steps, counted but not timed, by experiment.
    operations: Operations of a level, for each kind and factor.
    completions: The record of the completed images, if there is one.
    trainings: Operations of the paper's own experiments.
    planned: The candidate or variant of each run planned, by experiment.
    candidates: The names of the candidates, by experiment.
  """

  directory: str
  records: Mapping[str, Sequence[dict]]
  costs: Mapping[str, Sequence[dict]]
  steps: Mapping[str, Sequence[dict]]
  operations: Sequence[dict]
  completions: Sequence[dict]
  trainings: Sequence[dict]
  planned: Mapping[str, Sequence[str]]
  candidates: Mapping[str, Collection[str]]

  def picture(self, name: str) -> str:
    return os.path.join(self.directory, f'{name}.png')


@dataclasses.dataclass(frozen=True)
class Section:
  """The outcome of a study.

  Attributes:
    verdict: The outcome in a few words.
    body: Markdown, without a heading.
    picture: The path of its picture, if there is one.
  """

  verdict: str
  body: str
  picture: str | None = None


def anchor(title: str) -> str:
  """Returns the anchor that links to a heading."""
  return title.lower().replace(',', '').replace(' ', '-')


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """Returns a table in Markdown."""
  lines = [header, ['---'] * len(header), *rows]
  return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def comparison(name: str, study: Study, found: Results) -> Section:
  """Returns the section of a study that compares bits, its picture written."""
  verdicts = claim_verdicts(study, found)
  parts = []
  for experiment, rows in study.rows.items():
    its_verdicts = {
      claim: verdict
      for claim, verdict in verdicts.items()
      if claim.experiment == experiment
    }
    parts += [
      bits_table(experiment, rows, found),
      claims_table(experiment, its_verdicts),
    ]
    costs = study_costs(study, experiment, found)
    if costs:
      parts.append(costs_table(costs))
  parts += [study.note] if study.note else []
  picture = _bits_picture(name, study, found)
  return Section(
    analysis.together(list(verdicts.values())), '\n\n'.join(parts), picture
  )


def claim_verdicts(study: Study, found: Results) -> dict[Claim, Verdict]:
  return {
    claim: analysis.verdict(claim, found.records[claim.experiment])
    for claim in study.claims
  }


def bits_table(experiment: str, rows: Sequence[Row], found: Results) -> str:
  """Returns a table of the bits of variants, beside the paper's."""
  records = found.records[experiment]
  lines = []
  for row in rows:
    bits = results.values(records, row.variant)
    weights = results.values(records, row.variant, 'weights')
    lines.append(
      (
        f'`{row.variant}`',
        f'{weights[0] / 1e6:.2f}M' if weights else '-',
        mean(bits),
        ', '.join(f'{b:.3f}' for b in bits) or 'not run',
        f'`{row.theirs}`' if row.theirs else '-',
        f'{row.bits:.3f}' if row.bits else '-',
      )
    )
  return table(
    (
      f'ours, {experiment}',
      'weights',
      EXPERIMENTS[experiment].unit,
      'each seed',
      'paper',
      'its bits',
    ),
    lines,
  )


def claims_table(experiment: str, verdicts: Mapping[Claim, Verdict]) -> str:
  """Returns a table of the verdicts on claims about one experiment."""

  def number(x, form):
    return '-' if x is None else format(x, form)

  return table(
    (
      f'fewer bits, {experiment}',
      'than',
      'by',
      'each seed',
      "baseline's range",
      'largest range',
      '',
    ),
    [
      (
        f'`{claim.better}`',
        f'`{claim.worse}`',
        number(verdict.difference, '+.3f'),
        ', '.join(f'{x:+.3f}' for x in verdict.per_seed) or '-',
        f'{number(verdict.baseline, ".3f")}, `{claim.baseline}`',
        number(verdict.largest, '.3f'),
        verdict.text,
      )
      for claim, verdict in verdicts.items()
    ],
  )


def study_costs(
  study: Study, experiment: str, found: Results
) -> dict[str, dict]:
  """Returns costs by variant, of programs that took turns for this study."""
  return {
    cost['variant']: cost
    for cost in found.costs[experiment]
    if cost['setting'] == study.costs.get(experiment)
  }


def costs_table(costs: Mapping[str, dict]) -> str:
  """Returns a table of the costs of a step, by variant."""
  return table(
    ('', 'operations', 'seconds of a step: median (range)', 'MiB'),
    [
      (
        f'`{variant}`',
        f'{cost["operations"] / GIGA:.2f} G',
        spread(cost['seconds'], statistics.median),
        f'{cost["memory"] / MIB:.0f}',
      )
      for variant, cost in costs.items()
    ],
  )


def _bits_picture(name, study, found):
  """Draws the experiments that have runs of more than their baselines."""
  baselines = {
    experiment: {
      claim.baseline for claim in study.claims if claim.experiment == experiment
    }
    for experiment in study.rows
  }
  shown = {
    experiment: [row.variant for row in rows]
    for experiment, rows in study.rows.items()
    if any(
      results.values(found.records[experiment], row.variant)
      for row in rows
      if row.variant not in baselines[experiment]
    )
  }
  if not shown:
    return None
  path = found.picture(name)
  pictures.bits(
    {experiment: found.records[experiment] for experiment in shown},
    shown,
    baselines,
    study.title,
    path,
  )
  return path


def mean(values: Sequence[float]) -> str:
  return f'{statistics.fmean(values):.3f}' if values else '-'


def spread(
  values: Sequence[float], average: Callable = statistics.fmean
) -> str:
  """Returns the average, by default the mean, and the range."""
  if not values:
    return '-'
  middle = average(values)
  if len(values) == 1:
    return f'{middle:.3g}'
  return f'{middle:.3g} ({min(values):.3g} to {max(values):.3g})'
