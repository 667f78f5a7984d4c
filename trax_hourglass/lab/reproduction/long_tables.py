"""The tables of models that are trained for long."""

from collections.abc import Mapping, Sequence

from trax_hourglass.lab.reproduction import analysis, curves, pictures, sections
from trax_hourglass.lab.reproduction.claims import TRANSFORMER_XL, Claim, Row
from trax_hourglass.lab.reproduction.long_studies import TINY
from trax_hourglass.lab.reproduction.sections import Results

MILLION = 1e6
OPERATIONS, SECONDS = pictures.OPERATIONS, pictures.SECONDS
_SHOWN = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 48, 64, 80, 96)  # Million bytes.
_WORDS = {
  analysis.HOLDS: 'Hourglass ahead',
  analysis.FAILS: f'{TRANSFORMER_XL} ahead',
}


def progress(found: Results, rows: Sequence[Row]) -> str:
  """Returns a note on how many runs are finished, '' if all are.

  Args:
    found: All results.
    rows: The variants whose runs count, beside the candidates.
  """
  names = {*found.candidates[TINY], *(row.variant for row in rows)}
  n = sum(record['variant'] in names for record in found.records[TINY])
  n_planned = sum(name in names for name in found.planned[TINY])
  if n >= n_planned:
    return ''
  return (
    f'**Not complete:** {n} of {n_planned} runs are finished; only these are '
    'shown.'
  )


def trials(found: Results) -> str:
  """Returns a table of the results of each candidate learning rate."""
  records = found.records[TINY]
  there = [r for r in records if r['variant'] in found.candidates[TINY]]
  if not there:
    return ''
  chosen = {r['chosen'] for r in records if 'chosen' in r}
  return sections.table(
    ('learning rate', 'steps', '`6@1`, bits per byte', ''),
    [
      (
        r['variant'],
        f'{r["steps"]:,}',
        f'{r["bits"]:.3f}',
        'chosen for all' if r['variant'] in chosen else '',
      )
      for r in there
    ],
  )


def step_costs(
  costs: Mapping[str, Mapping[str, float]], rows: Sequence[Row]
) -> str:
  """Returns a table of the costs of a step of each variant.

  Args:
    costs: For each kind of cost, the cost of each variant.
    rows: The variants, in the order of the table.
  """
  if not costs[OPERATIONS]:
    return ''
  seconds = costs.get(SECONDS, {})
  return sections.table(
    ('', 'operations of a step', 'seconds of a step'),
    [
      (
        f'`{row.variant}`',
        f'{costs[OPERATIONS][row.variant] / 1e9:.2f} G',
        f'{seconds[row.variant]:.3g}'
        if row.variant in seconds
        else 'not measured',
      )
      for row in rows
      if row.variant in costs[OPERATIONS] and row.steps is None
    ],
  )


def ends(
  at_end: Mapping[tuple[Claim, str], curves.Gap],
  costs: Mapping[str, Mapping[str, float]],
) -> str:
  """Returns a table of the gap of each Hourglass at the end of training.

  Args:
    at_end: The gap for each claim and kind of cost.
    costs: As for `step_costs`.
  """
  if not at_end:
    return ''
  return sections.table(
    (
      'Hourglass',
      'at equal',
      'cost, `6@1` = 1',
      'bits fewer than a Transformer-XL',
      'each seed',
      'largest range',
      '',
    ),
    [
      (
        f'`{claim.better}`',
        kind,
        f'{costs[kind][claim.better] / costs[kind][claim.worse]:.2f}',
        *_at_equal_cost(gap),
        f'{gap.largest:.3f}' if len(gap.per_seed) > 1 else '-',
        word(gap),
      )
      for (claim, kind), gap in at_end.items()
    ],
  )


def _at_equal_cost(gap):
  if gap.shift is None:
    return '-', '-'
  return f'{gap.mean:+.3f}', ', '.join(f'{x:+.3f}' for x in gap.per_seed)


def gaps_over_bytes(gaps: Sequence[curves.Gap], per_step: int) -> str:
  """Returns a table of gaps at some of the evaluations and at the last one.

  Only gaps at equal cost have a range and a verdict.

  Args:
    gaps: The gaps at all evaluations.
    per_step: Bytes seen in a step.
  """
  by_place = {}
  for gap in gaps:
    for place in _SHOWN:
      # The first evaluation from there on, unless it is much later.
      if place <= gap.step * per_step / MILLION < 1.3 * place:
        by_place.setdefault(place, gap)
  shown = [*by_place.values()]
  shown += [] if gaps[-1] in shown else [gaps[-1]]
  header = ('million bytes seen', 'gap', 'each seed', 'largest range', '')
  lines = [
    (
      f'{gap.step * per_step / MILLION:.1f}',
      f'{gap.mean:+.3f}',
      ', '.join(f'{x:+.3f}' for x in gap.per_seed),
      f'{gap.largest:.3f}' if len(gap.per_seed) > 1 else '-',
      word(gap),
    )
    for gap in shown
  ]
  n_columns = 3 if gaps[-1].shift is None else len(header)
  return sections.table(
    header[:n_columns], [line[:n_columns] for line in lines]
  )


def word(gap: curves.Gap) -> str:
  """Returns the verdict on a gap, with the reason if it cannot be resolved."""
  if gap.shift is None:
    return f'{analysis.NOT_RESOLVED}: not between two {TRANSFORMER_XL}s in cost'
  n = len(gap.per_seed)
  if n < analysis.SEEDS:
    return f'{analysis.NOT_RESOLVED}: {n} of {analysis.SEEDS} seeds'
  return _WORDS.get(gap.word, gap.word)
