"""What a claim of the paper is made of, for `studies`."""

from collections.abc import Mapping
import dataclasses

TEXT = 'text'  # The experiment that others are compared with.
TRANSFORMER_XL = 'Transformer-XL'


@dataclasses.dataclass(frozen=True)
class Row:
  """A variant of ours, and the paper's counterpart.

  Attributes:
    variant: As in the gin file.
    theirs: What the counterpart is called.
    bits: Of the counterpart, per byte or dim; `None` if the paper has none.
    label: In pictures of cost against quality; the variant by default.
    family: The kind of model, where kinds are compared by what they cost.
  """

  variant: str
  theirs: str | None = None
  bits: float | None = None
  label: str | None = None
  family: str | None = None


@dataclasses.dataclass(frozen=True)
class Claim:
  """That one variant takes fewer bits than another, both in one experiment.

  Attributes:
    experiment: That of the variants.
    better: The variant with fewer bits.
    worse: The one it is compared with.
    baseline: The variant whose runs show by how much seeds alone differ.
  """

  experiment: str
  better: str
  worse: str
  baseline: str


@dataclasses.dataclass(frozen=True)
class Study:
  """Some claims of the paper and the runs that test them.

  Attributes:
    title: What it is about.
    source: Where the paper has it.
    says: What the paper says.
    rows: What is compared, by experiment.
    claims: What should come out.
    costs: Experiments whose costs are measured for it.
    counts: Experiments whose operations are counted for it, before any run.
    others: Experiments of another kind than training variants.
    note: What a reader of its figures should know.
  """

  title: str
  source: str
  says: str
  rows: Mapping[str, tuple[Row, ...]]
  claims: tuple[Claim, ...] = ()
  costs: tuple[str, ...] = ()
  counts: tuple[str, ...] = ()
  others: tuple[str, ...] = ()
  note: str = ''

  @property
  def files(self) -> tuple[str, ...]:
    """The experiments it takes, which are called like their gin files."""
    return (*self.rows, *self.others)


def family(name: str, *rows: Row) -> tuple[Row, ...]:
  """Returns the rows, marked as one family of models."""
  return tuple(dataclasses.replace(row, family=name) for row in rows)


def claims(
  experiment: str, *pairs: tuple[str, str], baseline: str
) -> tuple[Claim, ...]:
  """Returns a claim for each pair of a better and a worse variant."""
  return tuple(Claim(experiment, *pair, baseline) for pair in pairs)
