"""The difference of two models at equal cost, over the course of training."""

from collections.abc import Mapping, Sequence
import dataclasses
import statistics

import numpy as np

from trax_hourglass.lab.reproduction import analysis

_CURVE_SEED = 0  # The seed with which all models of a family are trained.


@dataclasses.dataclass(frozen=True)
class Gap:
  """The bits by which an Hourglass is better, at one evaluation.

  Attributes:
    step: The step of the evaluation.
    per_seed: The gap for each seed that both sides have.
    largest: The larger of the ranges of both sides' runs.
    shift: The correction to equal cost in each seed's difference; `None` if
      the family has no curves on both sides of the cost, so there is none.
  """

  step: int
  per_seed: tuple[float, ...]
  largest: float
  shift: float | None

  @property
  def mean(self) -> float:
    return statistics.fmean(self.per_seed)

  @property
  def word(self) -> str:
    """The verdict on whether the Hourglass takes fewer bits."""
    if len(self.per_seed) < analysis.SEEDS or self.shift is None:
      return analysis.NOT_RESOLVED
    return analysis.judge(self.mean, self.largest)


def gaps(
  records: Sequence[dict],
  hourglass: str,
  baseline: str,
  costs: Mapping[str, float],
) -> list[Gap]:
  """Returns the gap at each evaluation, positive if the Hourglass is better.

  The baseline's bits are moved to the cost of the Hourglass along the bits of
  its family with seed 0, which are interpolated over the logarithm of the cost.

  Args:
    records: Of runs, with their curves.
    hourglass: The variant that should be better.
    baseline: The variant that it is compared with.
    costs: Of the Hourglass, and of all variants of the baseline's family.
  """
  ours, theirs = (_curves(records, name) for name in (hourglass, baseline))
  seeds = sorted(ours.keys() & theirs)
  if not seeds:
    return []
  family = {
    cost: _curves(records, name)[_CURVE_SEED]
    for name, cost in costs.items()
    if name != hourglass and _CURVE_SEED in _curves(records, name)
  }
  runs = [curves[seed] for seed in seeds for curves in (ours, theirs)]
  found = []
  for step in sorted(set.intersection(*map(set, runs))):
    shift = None
    if {hourglass, baseline} <= costs.keys():
      shift = _shift(family, costs[baseline], costs[hourglass], step)
    found.append(
      Gap(
        step,
        tuple(
          theirs[seed][step] + (shift or 0.0) - ours[seed][step]
          for seed in seeds
        ),
        max(
          _range([side[seed][step] for seed in seeds])
          for side in (ours, theirs)
        ),
        shift,
      )
    )
  return found


def since(found: Sequence[Gap], word: str) -> Gap | None:
  """Returns the first gap of those at the end that all have the word, if any.

  Args:
    found: Gaps in the order of their steps.
    word: A value of `Gap.word`.
  """
  first = None
  for gap in reversed(found):
    if gap.word != word:
      break
    first = gap
  return first


def _curves(records, variant):
  """Returns bits by step, by seed."""
  return {
    record['seed']: dict(record['curve'])
    for record in records
    if record['variant'] == variant
  }


def _shift(family, cost, other_cost, step):
  """Returns the bits at `other_cost` minus those at `cost`."""
  points = sorted(
    (np.log(place), curve[step])
    for place, curve in family.items()
    if step in curve
  )
  x = [place for place, _ in points]
  wanted = np.log([cost, other_cost])
  if not x or min(wanted) < x[0] or max(wanted) > x[-1]:
    return None
  at_cost, at_other = np.interp(wanted, x, [bits for _, bits in points])
  return float(at_other - at_cost)


def _range(values):
  return max(values) - min(values)
