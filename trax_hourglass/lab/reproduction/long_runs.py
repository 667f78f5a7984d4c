"""Sections on models that are trained for long: when an Hourglass pays.

The sections take the arguments of `sections.comparison`.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import statistics

from trax_hourglass.lab.reproduction import (
  analysis,
  curves,
  figures,
  long_tables,
  pictures,
  results,
  sections,
)
from trax_hourglass.lab.reproduction.claims import TEXT, TRANSFORMER_XL, Claim
from trax_hourglass.lab.reproduction.long_studies import TINY
from trax_hourglass.lab.reproduction.sections import Results
from trax_hourglass.lab.reproduction.studies import STUDIES

_OPERATIONS, _SECONDS = long_tables.OPERATIONS, long_tables.SECONDS
_FIGURE_1 = STUDIES['figure1']


def figure_1(name, study, found):
  """Compares bits and costs at the end of training (Figure 1)."""
  rows, costs = study.rows[TINY], _costs(found)
  parts = [
    long_tables.progress(found, rows),
    sections.bits_table(TINY, rows, found),
    long_tables.trials(found),
  ]
  parts.append(long_tables.step_costs(costs, rows))
  at_end = {
    (claim, kind): gaps[-1]
    for claim in study.claims
    for kind in costs
    if (gaps := _gaps(found, claim, costs[kind]))
  }
  parts += [long_tables.ends(at_end, costs), study.note]
  families = _families(rows, costs[_OPERATIONS], found)
  path = None
  if families:
    path = found.picture(name)
    pictures.cost_against_quality(found.records[TINY], families, costs, path)
  verdict = '; '.join(
    f'`{claim.better}` at equal {kind}: {_at_end(gap)}'
    for (claim, kind), gap in at_end.items()
  )
  return sections.Section(
    verdict or analysis.NOT_RUN, '\n\n'.join(filter(None, parts)), path
  )


def when_it_pays(name, study, found):
  """Compares the pair of models at equal cost, at each evaluation."""
  costs = _costs(found)
  pair, longer = study.claims
  by_kind = {kind: _gaps(found, pair, costs[kind]) for kind in costs}
  by_kind = {kind: gaps for kind, gaps in by_kind.items() if gaps}
  # The other Transformer-XLs show what equal cost means.
  progress = long_tables.progress(found, STUDIES['tiny'].rows[TINY])
  if not by_kind:
    return sections.Section(analysis.NOT_RUN, progress)
  per_step = _bytes_per_step(found, TINY)
  series = {f'at equal {kind}': gaps for kind, gaps in by_kind.items()}
  parts = [progress]
  parts += [
    f'At equal {kind}:\n\n{long_tables.gaps_over_bytes(gaps, per_step)}'
    for kind, gaps in by_kind.items()
  ]
  more = _gaps(found, longer, costs[_OPERATIONS])
  answers = [
    f'at equal {kind} {_answer(gaps, per_step)}'
    for kind, gaps in by_kind.items()
  ]
  if _SECONDS not in by_kind:
    answers.append('at equal seconds not measured yet')
  if more:
    series[f'{more[-1].step:,} steps, not corrected'] = more
    ratio = costs[_OPERATIONS][pair.better] / costs[_OPERATIONS][pair.worse]
    parts.append(
      f'{more[-1].step:,} steps, where the Hourglass does {ratio:.2f} times '
      'the operations, without correction:\n\n'
      + long_tables.gaps_over_bytes(more, per_step)
    )
    answers.append(
      f'trained for longer, at {ratio:.2f} times the operations and with one '
      f'seed, {_lead(more[-1].mean)} after {_seen(more[-1], per_step)}'
    )
  parts.append(
    f'`{pair.better}` against `{pair.worse}`, whose bits are moved to the cost '
    'of the Hourglass by interpolation between the Transformer-XLs. A positive '
    'gap means that the Hourglass takes fewer bits. The learning rate decays '
    'over the whole run, so a run that ends at some point has fewer bits there '
    'than one that continues.'
  )
  early = _early(found)
  if early:
    parts.append(
      'The point at the left end of the picture is of the models of '
      f'[Figure 1 early in training](#{sections.anchor(_FIGURE_1.title)}), '
      'which are wider (d_model 64), at equal operations.'
    )
  path = found.picture(name)
  pictures.gaps(series, per_step, early, path)
  return sections.Section('; '.join(answers), '\n\n'.join(parts), path)


def one_seed(name, study, found):
  """Compares bits without verdicts: all runs but the baseline's are single."""
  made = sections.comparison(name, study, found)
  verdicts = sections.claim_verdicts(study, found)
  differences = [
    f'`{claim.better}` takes {abs(verdict.per_seed[0]):.3f} bits '
    f'{"fewer" if verdict.per_seed[0] > 0 else "more"} than `{claim.worse}`'
    for claim, verdict in verdicts.items()
    if verdict.per_seed
  ]
  if not differences:
    return made
  n_missing = len(verdicts) - len(differences)
  missing = f'; {n_missing} of {len(verdicts)} not run' if n_missing else ''
  words = f'no verdict from one seed, with which {", ".join(differences)}'
  return dataclasses.replace(made, verdict=words + missing)


def answer(pays: str, on_gpu: str, found: Results) -> str:
  """Returns a summary of the results, for the top of the page.

  Args:
    pays: The verdict of `when_it_pays`.
    on_gpu: The verdict of the study for a GPU.
    found: All results.
  """
  pair = STUDIES['when_it_pays'].claims[0]
  sentences = [
    f'**Does an Hourglass pay?** `{pair.better}` against a {TRANSFORMER_XL} '
    f'(`{pair.worse}`), tiny and trained for long: {pays}.'
  ]
  early = _early(found)
  if early:
    n_bytes, gaps = early
    word = analysis.judge(statistics.fmean(gaps), max(gaps) - min(gaps))
    doubt = f', which is {word}' if word == analysis.NOT_RESOLVED else ''
    sentences.append(
      f'Early in training, at {n_bytes / long_tables.MILLION:.1f} million '
      'bytes, with d_model 64 and at equal operations: '
      f'{_lead(statistics.fmean(gaps))}'
      f'{doubt}.'
    )
  return ' '.join([*sentences, f'On a GPU: {on_gpu}.'])


def _costs(found: Results) -> dict[str, dict[str, float]]:
  """Returns the cost of a step of each variant, by kind of cost."""
  costs = {
    _OPERATIONS: {r['variant']: r['operations'] for r in found.steps[TINY]}
  }
  timed = sections.study_costs(STUDIES['tiny'], TINY, found)
  if timed:
    costs[_SECONDS] = {
      variant: statistics.median(cost['seconds'])
      for variant, cost in timed.items()
    }
  return costs


def _gaps(found, claim: Claim, costs: Mapping[str, float]):
  """Returns the gaps of a claim, from runs with the same number of steps."""
  rows = {row.variant: row for row in STUDIES['tiny'].rows[TINY]}
  family = [
    row.variant
    for row in rows.values()
    if row.family == TRANSFORMER_XL and row.steps == rows[claim.better].steps
  ]
  known = {
    name: costs[name] for name in (*family, claim.better) if name in costs
  }
  return curves.gaps(found.records[TINY], claim.better, claim.worse, known)


def _bytes_per_step(found, experiment):
  one = found.steps[experiment][0]
  return one['length'] * one['batch_size']


def _early(found) -> tuple[float, list[float]] | None:
  """Returns bytes and gaps of the models early in training, by seed."""
  gaps = figures.gaps_at_equal_operations(_FIGURE_1, found)
  if not gaps or not found.steps[TEXT]:
    return None
  steps = found.records[TEXT][0]['steps']
  return steps * _bytes_per_step(found, TEXT), gaps


def _families(rows, costs, found):
  """Returns rows that have bits and a cost, by family."""
  families = {}
  for row in rows:
    there = results.values(found.records[TINY], row.variant)
    if there and row.variant in costs and row.steps is None:
      families.setdefault(row.family, []).append(row)
  return families


def _lead(bits: float) -> str:
  """Says which of the two takes fewer bits, and how many."""
  ahead = 'Hourglass' if bits > 0 else TRANSFORMER_XL
  return f'the {ahead} takes {abs(bits):.3f} bits per byte fewer'


def _at_end(gap):
  if gap.shift is None:
    return long_tables.word(gap)
  is_resolved = gap.word != analysis.NOT_RESOLVED
  doubt = '' if is_resolved else f', {long_tables.word(gap)}'
  return f'{_lead(gap.mean)}{doubt}'


def _answer(gaps: Sequence[curves.Gap], per_step) -> str:
  """Returns a clause on after how many bytes an Hourglass pays."""
  last = gaps[-1]
  if last.shift is None:
    return long_tables.word(last)
  answer = f'{_lead(last.mean)} after {_seen(last, per_step)}'
  if last.word == analysis.HOLDS:
    first = curves.since(gaps, analysis.HOLDS)
    return f'{answer}, and is ahead from {_seen(first, per_step)} on'
  if last.word == analysis.FAILS:
    most = min(gaps, key=lambda gap: gap.mean)
    return (
      f'{answer}; its lead was largest, {-most.mean:.3f}, after '
      f'{_seen(most, per_step)}'
    )
  answer += f', which is {long_tables.word(last)}'
  resolved = [gap for gap in gaps if gap.word != analysis.NOT_RESOLVED]
  if resolved:
    before = resolved[-1]
    answer += (
      f' (a difference was last resolved after {_seen(before, per_step)}, '
      f'where {_lead(before.mean)})'
    )
  return answer


def _seen(gap, per_step):
  return f'{gap.step * per_step / long_tables.MILLION:.0f} million bytes'
