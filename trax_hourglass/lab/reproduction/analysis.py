"""Verdicts on the paper's claims, and lines fitted to bits over costs."""

from collections.abc import Mapping, Sequence
import dataclasses
import statistics

import numpy as np

from trax_hourglass.lab.reproduction import results
from trax_hourglass.lab.reproduction.claims import Claim

HOLDS, FAILS = 'holds', 'does not hold'
NOT_RESOLVED, NOT_RUN = 'not resolved', 'not run'
SEEDS = 3  # Runs that each side needs before a difference has a verdict.


@dataclasses.dataclass(frozen=True)
class Verdict:
  """The verdict on a claim.

  Attributes:
    word: One of the words above.
    reason: Why nothing is resolved, if there are too few runs.
    difference: Bits by which the better variant is better; `None` if not run.
    per_seed: The same for each seed that both were run with.
    baseline: The range of the baseline's runs, which differ by their seeds.
    largest: The largest such range, of both sides and the baseline.
  """

  word: str
  reason: str = ''
  difference: float | None = None
  per_seed: tuple[float, ...] = ()
  baseline: float | None = None
  largest: float | None = None

  @property
  def text(self) -> str:
    return f'{self.word}: {self.reason}' if self.reason else self.word


def verdict(claim: Claim, records: Sequence[dict]) -> Verdict:
  """Judges a claim by the means over seeds.

  Where the runs of either side, or of the baseline, differ by as much as the
  means do, nothing is resolved. Of two models that are equal, with three runs
  of each and bits that are normally distributed, that says something in 5 of
  100 cases.

  Args:
    claim: The claim.
    records: Records of its experiment.
  """
  better, worse, baseline = (
    results.by_seed(records, variant)
    for variant in (claim.better, claim.worse, claim.baseline)
  )
  if not better or not worse:
    return Verdict(NOT_RUN)
  difference = statistics.fmean(worse.values()) - statistics.fmean(
    better.values()
  )
  per_seed = tuple(
    worse[seed] - better[seed] for seed in sorted(better.keys() & worse)
  )
  n = min(map(len, (better, worse, baseline)))
  if n < SEEDS:
    return Verdict(NOT_RESOLVED, f'{n} of {SEEDS} seeds', difference, per_seed)
  ranges = [
    max(runs.values()) - min(runs.values())
    for runs in (baseline, better, worse)
  ]
  largest = max(ranges)
  return Verdict(
    judge(difference, largest), '', difference, per_seed, ranges[0], largest
  )


def judge(difference: float, spread: float) -> str:
  """Returns the word for a difference that should be positive."""
  if abs(difference) <= spread:
    return NOT_RESOLVED
  return HOLDS if difference > 0 else FAILS


def together(verdicts: Sequence[Verdict]) -> str:
  """Returns the verdicts on a study's claims, counted."""
  words = [v.word for v in verdicts]
  if set(words) == {NOT_RUN}:
    return NOT_RUN
  return ', '.join(
    f'{words.count(word)} of {len(words)} {_inflected(word, words.count(word))}'
    for word in (HOLDS, FAILS, NOT_RESOLVED, NOT_RUN)
    if word in words
  )


def _inflected(word, n):
  if n == 1:
    return word
  return {HOLDS: 'hold', FAILS: 'do not hold'}.get(word, word)


@dataclasses.dataclass(frozen=True)
class Line:
  """A line fitted to bits over the logarithm of a cost.

  Attributes:
    slope: Bits for ten times the cost.
    intercept: Bits at cost 1.
    costs: The least and the greatest it was fitted to.
  """

  slope: float
  intercept: float
  costs: tuple[float, float]

  def at(self, cost):
    return self.intercept + self.slope * np.log10(cost)


def fit(costs: Sequence[float], bits: Sequence[float]) -> Line:
  """Fits a `Line` by least squares."""
  slope, intercept = np.polyfit(np.log10(costs), bits, 1)
  return Line(float(slope), float(intercept), (min(costs), max(costs)))


def lines_by_run(
  records: Sequence[dict],
  variants: Sequence[str],
  costs: Mapping[str, Sequence[float]],
) -> dict[tuple[int, int], Line]:
  """Returns a line for each seed and each turn in which costs were measured.

  Args:
    records: Records of runs; a seed that a variant lacks has no line.
    variants: The variants to fit lines to.
    costs: The costs of each variant, one for each time it was measured.
  """
  bits = [results.by_seed(records, variant) for variant in variants]
  seeds = sorted(set.intersection(*map(set, bits)))
  turns = range(min(len(costs[variant]) for variant in variants))
  return {
    (seed, turn): fit(
      [costs[variant][turn] for variant in variants],
      [per_seed[seed] for per_seed in bits],
    )
    for seed in seeds
    for turn in turns
  }


def gaps(
  ours: Mapping[tuple[int, int], Line], theirs: Mapping[tuple[int, int], Line]
) -> list[float]:
  """Returns by how many bits ours lie below theirs, for each seed and turn.

  The gap is the mean over the costs, on a logarithmic scale, that both lines
  were fitted to.
  """
  found = []
  for run in sorted(ours.keys() & theirs):
    line, other = ours[run], theirs[run]
    both = (
      max(line.costs[0], other.costs[0]),
      min(line.costs[1], other.costs[1]),
    )
    middle = np.sqrt(both[0] * both[1])  # Of lines: the mean.
    found.append(float(other.at(middle) - line.at(middle)))
  return found


def exponent(factors: Sequence[int], operations: Sequence[float]) -> float:
  """Returns p of operations that fall as factor**-p, by least squares."""
  return -float(np.polyfit(np.log(factors), np.log(operations), 1)[0])


def copying_bounds(n_letters: int = 26) -> dict[str, float]:
  """Returns the highest share of chunks L#L that can be right, at factor 3.

  `#` always is, the first letter by chance, the last one by chance without
  vanilla layers and always with one.

  Source: arXiv:2110.13711, App. A.1, with the chance of a random letter.
  """
  chance = 1 / n_letters
  return {
    'without': (1 + 2 * chance) / 3,
    'with': (2 + chance) / 3,
  }
