"""The sections of the page that are more than a comparison of bits.

Each takes the arguments of `sections.comparison`.
"""

import statistics

from trax_hourglass.lab.benchmarks.report import MIB
from trax_hourglass.lab.reproduction import (
  analysis,
  pictures,
  results,
  sections,
)
from trax_hourglass.lab.reproduction.claims import TEXT, TRANSFORMER_XL
from trax_hourglass.lab.reproduction.studies import CHUNKS, LENGTHS

_AS_PREDICTED = 'as predicted'
# One value for each time that a cost was measured.
_COSTS = {
  pictures.OPERATIONS: lambda cost: [cost['operations']],
  pictures.SECONDS: lambda cost: cost['seconds'],
}
# Ratios that count as equal cost: times are not more exact.
_EQUAL_COST = 1.1


def figure_1(name, study, found):
  rows = study.rows[TEXT]
  parts = [sections.bits_table(TEXT, rows, found)]
  records = found.records[TEXT]
  costs = sections.study_costs(study, TEXT, found)
  families = _families(
    row
    for row in rows
    if row.variant in costs and results.values(records, row.variant)
  )
  if TRANSFORMER_XL not in families or len(families) < 2:
    return sections.Section(analysis.NOT_RUN, '\n\n'.join(parts))
  there = [row.variant for rows in families.values() for row in rows]
  by_kind = {
    kind: {v: value(costs[v]) for v in there} for kind, value in _COSTS.items()
  }
  path = found.picture(name)
  medians = {
    kind: {v: statistics.median(values) for v, values in cost.items()}
    for kind, cost in by_kind.items()
  }
  pictures.cost_against_quality(records, families, medians, path)
  parts.append(sections.costs_table({v: costs[v] for v in there}))
  lines = {
    kind: {
      family: analysis.lines_by_run(records, [r.variant for r in rows], cost)
      for family, rows in families.items()
    }
    for kind, cost in by_kind.items()
  }
  parts.append(_fits_table(lines))
  parts.append(
    'Lines are fitted to bits over the logarithm of the cost, one for each '
    'seed; for seconds one for each seed and each time that steps were timed. '
    'The table gives mean (range). A gap is not resolved unless it exceeds its '
    'range. All models saw the same number of bytes. Linear pooling is shown '
    'because of its result in Table 8 below, on the same validation split.'
  )
  return sections.Section(_verdict(lines), '\n\n'.join(parts), path)


def gaps_at_equal_operations(study, found) -> list[float]:
  """Returns by how many bits Hourglasses lie below, for each seed."""
  costs = sections.study_costs(study, TEXT, found)
  lines = {
    family: analysis.lines_by_run(
      found.records[TEXT],
      [row.variant for row in rows],
      {v: [cost['operations']] for v, cost in costs.items()},
    )
    for family, rows in _families(
      row
      for row in study.rows[TEXT]
      if row.variant in costs
      and results.values(found.records[TEXT], row.variant)
    ).items()
  }
  if not {TRANSFORMER_XL, 'Hourglass'} <= lines.keys():
    return []
  return _gaps(lines, 'Hourglass')


def _verdict(lines):
  """Returns how lines lie in a few words, by kind of cost and family."""
  over_operations = lines[pictures.OPERATIONS]
  gaps = '; '.join(
    f'{family}: '
    + ', '.join(
      f'{_sure(by_family, family)} at equal {kind}'
      for kind, by_family in lines.items()
    )
    for family in over_operations
    if family != TRANSFORMER_XL
  )
  slopes = ', '.join(
    f'{statistics.fmean(_slopes(by_run)):.2f} ({family})'
    for family, by_run in over_operations.items()
    if by_run
  )
  return f'{gaps}; change in bits for ten times the operations: {slopes}'


def _families(rows):
  """Returns rows by their family, if a line can be drawn through them."""
  families = {}
  for row in rows:
    families.setdefault(row.family, []).append(row)
  return {name: found for name, found in families.items() if len(found) > 1}


def section_3_1(name, study, found):
  del study
  records = found.operations
  if not records:
    return sections.Section(analysis.NOT_RUN, '')
  path = found.picture(name)
  pictures.operations(records, path)
  rows, powers = [], {}
  for kind in dict.fromkeys(record['variant'] for record in records):
    counted = [r for r in records if r['variant'] == kind]
    factors = [r['setting'] for r in counted]
    operations = [r['operations'] for r in counted]
    powers[kind] = analysis.exponent(factors, operations)
    millions = (f'{n / 1e6:,.0f} M' for n in operations)
    rows.append((kind, *millions, f'{powers[kind]:.2f}'))
  header = ('', *(f'k = {k}' for k in factors), 'falls as k^-p, p =')
  is_squared = abs(powers['full attention alone'] - 2) < 0.05
  is_linear = abs(powers['local attention'] - 1) < 0.05
  return sections.Section(
    analysis.HOLDS if is_squared and is_linear else analysis.FAILS,
    sections.table(header, rows),
    path,
  )


def figures_6_and_7(name, study, found):
  verdicts = sections.claim_verdicts(study, found)
  parts = [
    sections.bits_table(LENGTHS, study.rows[LENGTHS], found),
    sections.claims_table(LENGTHS, verdicts),
  ]
  words = {claim: verdict.text for claim, verdict in verdicts.items()}
  rows = {row.variant: row for row in study.rows[LENGTHS]}
  places = list(rows)
  costs = [
    {**cost, 'model': rows[cost['variant']].model}
    for cost in found.costs[LENGTHS]
    if cost['variant'] in rows
  ]
  costs.sort(key=lambda cost: (places.index(cost['variant']), cost['length']))
  path = None
  if costs:
    parts.append(_length_costs(costs))
    words = {
      claim: _at_equal_cost(rows[claim.better], rows[claim.worse], word, costs)
      for claim, word in words.items()
    }
    parts.append(
      'Bits are those of runs with 2,048 tokens in a batch; costs are those of '
      f'steps at batch 1. {study.note}'
    )
    records = [
      {**record, 'model': row.model, 'length': row.length}
      for record in found.records[LENGTHS]
      if (row := rows.get(record['variant']))
    ]
    path = found.picture(name)
    pictures.lengths(costs, records, path)
  return sections.Section(
    '; '.join(f'{claim.better}: {word}' for claim, word in words.items()),
    '\n\n'.join(parts),
    path,
  )


def appendix_a1(name, study, found):
  records = found.records[CHUNKS]
  bounds = analysis.copying_bounds()
  by_variant = {
    row.variant: bounds['without' if row.variant == '0@1 2@3 0@1' else 'with']
    for row in study.rows[CHUNKS]
  }
  rows, words = [], []
  for variant, bound in by_variant.items():
    accuracy = results.values(records, variant, 'accuracy')
    words.append(_beside(bound, accuracy))
    rows.append(
      (
        f'`{variant}`',
        f'{bound:.3f}',
        sections.mean(accuracy),
        ', '.join(f'{a:.3f}' for a in accuracy) or analysis.NOT_RUN,
        words[-1],
      )
    )
  path = None
  if records:
    path = found.picture(name)
    pictures.accuracy(records, by_variant, path)
  n = words.count(_AS_PREDICTED)
  word = analysis.HOLDS if n == len(words) else analysis.NOT_RESOLVED
  return sections.Section(
    f'{word}: {n} of {len(words)} accuracies as predicted',
    sections.table(
      ('hierarchy', 'predicted', 'accuracy', 'each seed', ''), rows
    ),
    path,
  )


def _beside(bound, accuracy):
  """Compares accuracies with their bound, which random letters blur."""
  if not accuracy:
    return analysis.NOT_RUN
  difference = statistics.fmean(accuracy) - bound
  if abs(difference) < 0.01:
    return _AS_PREDICTED
  return 'above' if difference > 0 else 'below'


def figure_8(name, study, found):
  del study
  if not found.completions:
    return sections.Section(analysis.NOT_RUN, '')
  [record] = found.completions
  bits = [x for image in record['bits_per_dim'] for x in image]
  return sections.Section(
    'left to the reader: see the picture',
    f'Trained for {record["steps"]:,} steps, {record["bits"]:.3f} bits per dim '
    f'on {record["source"]}. The completions, drawn at temperature '
    f'{record["temperature"]:g}, have {sections.spread(bits)} bits per dim.',
    found.picture(name),
  )


def _fits_table(lines):
  return sections.table(
    (
      'cost',
      '',
      'change in bits for ten times the cost',
      'bits fewer at equal cost',
    ),
    [
      (
        f'{kind} of a step',
        family,
        sections.spread(_slopes(by_run)),
        '-'
        if family == TRANSFORMER_XL
        else sections.spread(_gaps(by_family, family)),
      )
      for kind, by_family in lines.items()
      for family, by_run in by_family.items()
    ],
  )


def _slopes(lines):
  return [line.slope for line in lines.values()]


def _gaps(lines, family):
  return analysis.gaps(lines[family], lines[TRANSFORMER_XL])


def _sure(lines, family):
  """Returns the word for gaps that should all be positive."""
  seeds = {seed for seed, _ in lines[family].keys() & lines[TRANSFORMER_XL]}
  if len(seeds) < analysis.SEEDS:
    return f'{analysis.NOT_RESOLVED}: {len(seeds)} of {analysis.SEEDS} seeds'
  gaps = _gaps(lines, family)
  return analysis.judge(statistics.fmean(gaps), max(gaps) - min(gaps))


def _length_costs(costs):
  lengths = sorted({cost['length'] for cost in costs})
  models = list(dict.fromkeys(cost['model'] for cost in costs))
  cells = {
    (cost['model'], cost['length']): (
      f'{cost["memory"] / MIB:.0f}, {statistics.median(cost["seconds"]):.3g}'
    )
    for cost in costs
  }
  return sections.table(
    ('MiB, seconds of a step at batch 1', *map(str, lengths)),
    [
      (model, *(cells.get((model, n), analysis.NOT_RUN) for n in lengths))
      for model in models
    ],
  )


def _at_equal_cost(better, worse, word, costs):
  """Returns the word for a claim about equal cost, and the ratios of costs."""
  pair = [
    cost
    for row in (better, worse)
    for cost in costs
    if (cost['model'], cost['length']) == (row.model, row.length)
  ]
  if len(pair) != 2:
    return word
  memory, seconds = (
    ours / theirs
    for ours, theirs in (
      (cost['memory'] for cost in pair),
      (statistics.median(cost['seconds']) for cost in pair),
    )
  )
  if word == analysis.HOLDS and max(memory, seconds) > _EQUAL_COST:
    word = 'fewer bits, but at a higher cost'
  return f'{word} ({memory:.2f} x memory, {seconds:.2f} x time of a step)'
