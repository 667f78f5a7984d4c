"""Tables and pictures of measurements."""

from collections.abc import Sequence
import statistics

from matplotlib import figure
import tabulate

MIB = 2**20
GIGA = 1e9


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> str:
  """Returns rows as lines of text in aligned columns."""
  return tabulate.tabulate(
    rows, header, tablefmt='plain', disable_numparse=True
  )


def spread(values: list[float], form: str = '.2f') -> str:
  """Returns median and range."""
  return (
    f'{statistics.median(values):{form}} '
    f'({min(values):{form}}-{max(values):{form}})'
  )


def save(picture: figure.Figure, path: str) -> None:
  picture.savefig(path, format='png', dpi=150)
