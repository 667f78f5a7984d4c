"""The parts of a claim of the paper, for `studies`."""

from collections.abc import Mapping
import dataclasses

TEXT = 'text'  # The experiment that others are compared with.
TRANSFORMER_XL = 'Transformer-XL'


@dataclasses.dataclass(frozen=True)
class Training:
  """The data and steps that an experiment is trained with.

  Attributes:
    text: Data, steps and batches, in words.
    unit: What its bits are per.
  """

  text: str
  unit: str = 'bits per byte'


@dataclasses.dataclass(frozen=True)
class Row:
  """A variant of ours, and the paper's counterpart.

  Attributes:
    variant: The variant's name in the gin file.
    theirs: The counterpart's name; `None` if the paper has none.
    bits: The counterpart's bits per byte or dim, if the paper has them.
    label: The name in pictures of cost against quality, if another one.
    family: The kind of model, where kinds are compared at equal cost.
    model: The model, where one is trained at several lengths.
    length: The length in tokens at which that is trained.
    steps: The number of steps, if other than the experiment's.
  """

  variant: str
  theirs: str | None = None
  bits: float | None = None
  label: str | None = None
  family: str | None = None
  model: str | None = None
  length: int | None = None
  steps: int | None = None


@dataclasses.dataclass(frozen=True)
class Claim:
  """A claim that one variant of an experiment takes fewer bits than another.

  Attributes:
    experiment: The experiment.
    better: The variant that takes fewer bits.
    worse: The variant that it is compared with.
    baseline: The variant whose runs show how much seeds alone differ.
  """

  experiment: str
  better: str
  worse: str
  baseline: str


@dataclasses.dataclass(frozen=True)
class Study:
  """Some claims of the paper and the runs that test them.

  Attributes:
    title: The subject, which heads its section.
    source: The tables, figures and sections of the paper.
    says: The paper's statement.
    rows: The variants compared, by experiment.
    claims: The comparisons that the statement implies.
    costs: For each experiment whose steps are timed for it, the setting of
      the gin file with which they are; `None` if all of them are.
    counts: Experiments whose operations are counted for it, before any run.
    others: Experiments of another kind than training variants.
    note: A note for readers of its figures.
  """

  title: str
  source: str
  says: str
  rows: Mapping[str, tuple[Row, ...]]
  claims: tuple[Claim, ...] = ()
  costs: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
  counts: tuple[str, ...] = ()
  others: tuple[str, ...] = ()
  note: str = ''

  @property
  def files(self) -> tuple[str, ...]:
    """Its experiments, each with the name of its gin file."""
    return (*self.rows, *self.others)


def family(name: str, *rows: Row) -> tuple[Row, ...]:
  """Returns the rows, marked as one family of models."""
  return tuple(dataclasses.replace(row, family=name) for row in rows)


def claims(
  experiment: str, *pairs: tuple[str, str], baseline: str
) -> tuple[Claim, ...]:
  """Returns a claim for each pair of a better and a worse variant."""
  return tuple(Claim(experiment, *pair, baseline) for pair in pairs)
