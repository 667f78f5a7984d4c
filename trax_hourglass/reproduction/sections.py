"""The sections of REPRODUCTION.md, one for each study."""

from collections.abc import Mapping, Sequence
import dataclasses
import os
import statistics

from trax_hourglass.reproduction import analysis, pictures, results
from trax_hourglass.reproduction.experiments import Variants
from trax_hourglass.reproduction.studies import (
  CHUNKS,
  LENGTHS,
  TEXT,
  Study,
)

_MIB = 2**20


@dataclasses.dataclass(frozen=True)
class Results:
  """All that is there.

  Attributes:
    directory: Where pictures go.
    records: Of runs, by experiment.
    costs: What steps cost, by experiment.
    operations: Of a level, for each kind and factor.
    completions: What was completed, if anything was.
    variants: By experiment.
  """

  directory: str
  records: Mapping[str, Sequence[dict]]
  costs: Mapping[str, Sequence[dict]]
  operations: Sequence[dict]
  completions: Sequence[dict]
  variants: Mapping[str, Variants]

  def picture(self, name: str) -> str:
    return os.path.join(self.directory, f'{name}.png')


@dataclasses.dataclass(frozen=True)
class Section:
  """What a study came to.

  Attributes:
    verdict: In a few words.
    body: Markdown, without a heading.
    picture: Where it is, if there is one.
  """

  verdict: str
  body: str
  picture: str | None = None


def of_study(name: str, study: Study, found: Results) -> Section:
  """Returns the section of a study, its picture written."""
  special = {
    'figure1': _figure_1,
    'figures6and7': _figures_6_and_7,
    'appendix_a1': _appendix_a1,
    'section3_1': _section_3_1,
    'figure8': _figure_8,
  }
  if name in special:
    return special[name](name, study, found)
  return _comparison(name, study, found)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """Returns a table in Markdown."""
  lines = [header, ['---'] * len(header), *rows]
  return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _comparison(name, study, found):
  parts = [
    _bits_table(experiment, rows, found)
    for experiment, rows in study.rows.items()
  ]
  verdicts = _verdicts(study, found)
  parts.append(_claims_table(verdicts))
  picture = _bits_picture(name, study, found)
  return Section(
    analysis.together(list(verdicts.values())), '\n\n'.join(parts), picture
  )


def _verdicts(study, found):
  return {
    claim: analysis.verdict(
      claim,
      found.records[claim.experiment],
      found.variants[claim.experiment].baseline,
    )
    for claim in study.claims
  }


def _bits_table(experiment, rows, found):
  records = found.records[experiment]
  lines = []
  for row in rows:
    bits = results.values(records, row.variant)
    weights = results.values(records, row.variant, 'weights')
    lines.append(
      (
        f'`{row.variant}`',
        f'{weights[0] / 1e6:.2f}M' if weights else '-',
        _mean(bits),
        ', '.join(f'{b:.3f}' for b in bits) or 'not run',
        f'`{row.theirs}`' if row.theirs else '-',
        f'{row.bits:.3f}' if row.bits else '-',
      )
    )
  return table(
    (
      f'ours, {experiment}',
      'weights',
      pictures.unit(experiment),
      'each seed',
      'paper',
      'its bits',
    ),
    lines,
  )


def _claims_table(verdicts):
  return table(
    ('fewer bits', 'than', 'on', 'by', "baseline's range", ''),
    [
      (
        f'`{claim.better}`',
        f'`{claim.worse}`',
        claim.experiment,
        _signed(verdict.difference),
        '-' if verdict.spread is None else f'{verdict.spread:.3f}',
        verdict.text,
      )
      for claim, verdict in verdicts.items()
    ],
  )


def _bits_picture(name, study, found):
  if not any(found.records[experiment] for experiment in study.rows):
    return None
  path = found.picture(name)
  pictures.bits(
    {experiment: found.records[experiment] for experiment in study.rows},
    {e: [row.variant for row in rows] for e, rows in study.rows.items()},
    {e: found.variants[e].baseline for e in study.rows},
    study.title,
    path,
  )
  return path


def _figure_1(name, study, found):
  records, costs = found.records[TEXT], found.costs[TEXT]
  bits_table = _bits_table(TEXT, study.rows[TEXT], found)
  if not costs:
    return Section(f'{analysis.NOT_RUN}: costs are missing', bits_table)
  by_variant = {cost['variant']: cost for cost in costs}
  kinds = {
    'operations of a step': lambda cost: cost['operations'],
    'seconds of a step': lambda cost: statistics.median(cost['seconds']),
  }
  variants = [row.variant for row in study.rows[TEXT]]
  of_kind = {
    kind: {v: value(by_variant[v]) for v in variants}
    for kind, value in kinds.items()
  }
  present = [v for v in variants if results.values(records, v)]
  families = {
    'Transformer-XL': [v for v in present if ' ' not in v],
    'Hourglass': [v for v in present if ' ' in v],
  }
  if any(len(members) < 2 for members in families.values()):
    return Section(analysis.NOT_RUN, bits_table)
  path = found.picture(name)
  pictures.cost_against_quality(records, families, of_kind, path)
  rows, words = [], []
  for kind, cost in of_kind.items():
    lines = {
      family: analysis.lines_by_seed(records, members, cost)
      for family, members in families.items()
    }
    gaps = analysis.gaps(lines['Hourglass'], lines['Transformer-XL'])
    words.append(f'{_sure(gaps)} at equal {kind.split()[0]}')
    rows.append(
      (
        kind,
        *(_spread([line.slope for line in lines[f]]) for f in families),
        _spread(gaps),
      )
    )
  fits = table(
    (
      'cost',
      *(f'{family}: bits for ten times the cost' for family in families),
      'Hourglass lower by, at equal cost',
    ),
    rows,
  )
  costs_table = table(
    ('', 'operations', 'seconds of a step', 'MiB'),
    [
      (
        f'`{v}`',
        f'{by_variant[v]["operations"] / 1e9:.2f} G',
        _spread(by_variant[v]['seconds']),
        f'{by_variant[v]["memory"] / _MIB:.0f}',
      )
      for v in variants
    ],
  )
  note = (
    'Lines are fitted to bits over the logarithm of the cost, one for each '
    'seed: mean (range). All models saw the same number of bytes.'
  )
  body = '\n\n'.join((bits_table, costs_table, fits, note))
  return Section('; '.join(words), body, path)


def _sure(gaps):
  """Returns the word for gaps that should all be positive."""
  if len(gaps) < analysis.SEEDS:
    return f'{analysis.NOT_RESOLVED} ({len(gaps)} of {analysis.SEEDS} seeds)'
  return analysis.judge(statistics.fmean(gaps), max(gaps) - min(gaps))


def _figures_6_and_7(name, study, found):
  verdicts = _verdicts(study, found)
  parts = [
    _bits_table(LENGTHS, study.rows[LENGTHS], found),
    _claims_table(verdicts),
  ]
  costs = [
    {**cost, 'model': _model(cost['variant'])} for cost in found.costs[LENGTHS]
  ]
  of_study = {row.variant for row in study.rows[LENGTHS]}
  costs = [cost for cost in costs if cost['variant'] in of_study]
  path = None
  if costs:
    parts.append(_costs_of_lengths(costs))
    records = [
      {
        **record,
        'model': _model(record['variant']),
        'length': int(record['variant'].rpartition(', ')[2]),
      }
      for record in found.records[LENGTHS]
    ]
    path = found.picture(name)
    pictures.lengths(costs, records, path)
  return Section(
    analysis.together(list(verdicts.values())), '\n\n'.join(parts), path
  )


def _costs_of_lengths(costs):
  lengths = sorted({cost['length'] for cost in costs})
  models = list(dict.fromkeys(cost['model'] for cost in costs))
  by_place = {(cost['model'], cost['length']): cost for cost in costs}
  rows = []
  for model in models:
    cells = []
    for length in lengths:
      cost = by_place.get((model, length))
      cells.append(
        '-'
        if cost is None
        else f'{cost["memory"] / _MIB:.0f}, '
        f'{statistics.median(cost["seconds"]):.3g}'
      )
    rows.append((model, *cells))
  header = ('MiB, seconds of a step, batch 1', *map(str, lengths))
  return table(header, rows)


def _model(variant):
  return variant.rpartition(', ')[0]


def _appendix_a1(name, study, found):
  records = found.records[CHUNKS]
  bounds = analysis.copying_bounds()
  of_variant = {
    row.variant: bounds[
      'without' if row.variant.startswith('0@1 2@3 0@1') else 'with'
    ]
    for row in study.rows[CHUNKS]
  }
  rows, words = [], []
  for variant, bound in of_variant.items():
    accuracy = results.values(records, variant, 'accuracy')
    word = analysis.NOT_RUN
    if accuracy:
      # A finite evaluation may be lucky: its letters are random.
      is_there = abs(statistics.fmean(accuracy) - bound) < 0.01
      word = 'reached' if is_there else f'off by {_mean(accuracy, bound)}'
    words.append(word)
    rows.append(
      (
        f'`{variant}`',
        f'{bound:.3f}',
        _mean(accuracy),
        ', '.join(f'{a:.3f}' for a in accuracy) or 'not run',
        word,
      )
    )
  body = table(
    ('hierarchy', 'most possible', 'accuracy', 'each seed', ''), rows
  )
  path = None
  if records:
    path = found.picture(name)
    pictures.accuracy(records, of_variant, path)
  reached = words.count('reached')
  verdict = analysis.HOLDS if reached == len(words) else analysis.NOT_RESOLVED
  return Section(
    f'{verdict}: {reached} of {len(words)} reach what is possible', body, path
  )


def _section_3_1(name, study, found):
  del study
  records = found.operations
  if not records:
    return Section(analysis.NOT_RUN, '')
  path = found.picture(name)
  pictures.operations(records, path)
  rows = []
  exponents = {}
  for kind in dict.fromkeys(record['variant'] for record in records):
    by_factor = {
      r['setting']: r['operations'] for r in records if r['variant'] == kind
    }
    exponents[kind] = analysis.exponent(
      list(by_factor), list(by_factor.values())
    )
    rows.append(
      (
        kind,
        *(f'{by_factor[k] / 1e6:,.0f} M' for k in by_factor),
        f'{exponents[kind]:.2f}',
      )
    )
  header = ('', *(f'k = {k}' for k in by_factor), 'falls with k to the power')
  squared = abs(exponents['full attention alone'] - 2) < 0.05
  linear = abs(exponents['local attention'] - 1) < 0.05
  verdict = analysis.HOLDS if squared and linear else analysis.FAILS
  return Section(verdict, table(header, rows), path)


def _figure_8(name, study, found):
  del study
  if not found.completions:
    return Section(analysis.NOT_RUN, '')
  [record] = found.completions
  bits = [x for image in record['bits_per_dim'] for x in image]
  body = (
    f'Trained for {record["steps"]:,} steps, {record["bits"]:.3f} bits per dim '
    f'on {record["source"]}. The completions, drawn at temperature '
    f'{record["temperature"]:g}, have {_spread(bits)} bits per dim.'
  )
  return Section('look at the picture', body, found.picture(name))


def _mean(values, minus=0.0):
  return f'{statistics.fmean(values) - minus:.3f}' if values else '-'


def _signed(number):
  return '-' if number is None else f'{number:+.3f}'


def _spread(values):
  """Returns mean and range."""
  if not values:
    return '-'
  mean = statistics.fmean(values)
  if len(values) == 1:
    return f'{mean:.3g}'
  return f'{mean:.3g} ({min(values):.3g} to {max(values):.3g})'
