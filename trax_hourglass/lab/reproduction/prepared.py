"""The paper's own experiments: prepared, but not run here."""

from collections.abc import Mapping
from typing import NamedTuple

from trax_hourglass.lab.benchmarks import table1
from trax_hourglass.lab.reproduction import analysis, sections
from trax_hourglass.lab.reproduction.claims import Study


class Prepared(NamedTuple):
  """Experiments of the paper that take hardware not at hand here.

  Attributes:
    what: The experiments' name in the paper.
    result: The paper's result.
    files: A pattern of the gin files.
    hours: Hours on four Titan V, if the paper gives steps per second.
    tokens: Tokens in the sequence of an image; `None` for enwik8.
  """

  what: str
  result: str
  files: str
  hours: float | None = None
  tokens: int | None = None

  @property
  def command(self) -> str:
    is_one = '*' not in self.files
    name = self.files.removesuffix('.gin') if is_one else '$NAME'
    train = (
      f'python -m trax_hourglass.train --config_file={name}.gin '
      f'--output_dir=runs/{name}'
    )
    if self.tokens is None:
      train += " --config='trax_hourglass.enwik8.download = True'"
    if is_one:
      return train
    return (
      f'for FILE in gin/{self.files}; do NAME=${{FILE#gin/}}; '
      f'NAME=${{NAME%.gin}}; {train}; done'
    )


_BITS = 'bits per byte, validation'
_TABLE_1_STEPS = 200_000
_CIFAR10 = {'tokens': 3072}

_MAIN = (
  Prepared('enwik8, Table 2', '0.98 bits per byte, test', 'enwik8.gin'),
  Prepared(
    'ImageNet32, Table 3', '3.74 bits per dim', 'imagenet32.gin', tokens=3072
  ),
  Prepared(
    'ImageNet64, Table 3', '3.44 bits per dim', 'imagenet64.gin', tokens=12288
  ),
)
_TABLE_1 = tuple(
  Prepared(
    f'Table 1, `{row.hierarchy}`',
    f'{row.bits:.3f} {_BITS}',
    table1.file_name(row.hierarchy),
    hours=_TABLE_1_STEPS / row.steps_per_second / 3600,
  )
  for row in table1.ROWS
)
_ABLATIONS = (
  Prepared('Table 4', f'1.082 to 1.124 {_BITS}', 'table4/[0-9]*.gin'),
  Prepared('Table 5', f'1.096 to 1.164 {_BITS}', 'table5/enwik8_*.gin'),
  Prepared('Table 6', f'1.128 to 1.460 {_BITS}', 'table6/enwik8_*.gin'),
  Prepared('Table 7', f'1.132 to 1.163 {_BITS}', 'table7/enwik8_*.gin'),
  Prepared('Table 8', f'1.124 to 1.159 {_BITS}', 'table8/enwik8_*.gin'),
  Prepared(
    'Table 5, CIFAR-10',
    '3.03 to 3.28 bits per dim',
    'table5/cifar10_*.gin',
    **_CIFAR10,
  ),
  Prepared(
    'Table 6, CIFAR-10',
    '2.966 to 3.429 bits per dim',
    'table6/cifar10_*.gin',
    **_CIFAR10,
  ),
  Prepared(
    'Table 7, CIFAR-10',
    '2.967 to 3.062 bits per dim',
    'table7/cifar10_*.gin',
    **_CIFAR10,
  ),
  Prepared(
    'Table 8, CIFAR-10',
    '2.998 to 3.116 bits per dim',
    'table8/cifar10_*.gin',
    **_CIFAR10,
  ),
  Prepared('Figure 6', 'a picture', 'figure6/*_*.gin'),
  Prepared('Figure 7', 'a picture', 'figure7/*_*.gin'),
)
EXPERIMENTS = (*_MAIN, *_TABLE_1, *_ABLATIONS)
_TIMED = next(
  row for row in _TABLE_1 if row.files == table1.file_name(table1.BASELINE)
)
# Experiments whose operations give the hours on the paper's machine.
COUNTED = (*_MAIN, _TIMED, *_ABLATIONS)


def section(
  name: str, study: Study, found: sections.Results
) -> sections.Section:
  """Returns the section on experiments that are not run, and their cost."""
  del name, study
  operations = {r['variant']: r['operations'] for r in found.trainings}
  return sections.Section(
    analysis.NOT_RUN,
    'Results, and the hours of Table 1, are *from the paper*: hours follow '
    'from its steps per second on four Titan V. Other hours are estimated from '
    'the operations of a training, counted here, at the operations per second '
    'that the same cards reach with the `12@1` of Table 1. Where a row covers '
    'several files, operations and hours are totals. enwik8 is downloaded; '
    '`docs/guides/train_images.md` says where the images come from, and '
    '`docs/guides/memory.md` how much memory a device needs.\n\n'
    + sections.table(
      ('', 'result', 'operations', 'hours, four Titan V', 'command'),
      [
        (
          row.what,
          row.result,
          f'{operations[row.files]:.1e}' if row.files in operations else '-',
          _hours(row, operations),
          f'`{row.command}`',
        )
        for row in EXPERIMENTS
      ],
    ),
  )


def _hours(row: Prepared, operations: Mapping[str, float]) -> str:
  if row.hours is not None:
    return f'{row.hours:.0f}'
  if not {row.files, _TIMED.files} <= set(operations):
    return '-'
  hours = operations[row.files] / operations[_TIMED.files] * _TIMED.hours
  return f'about {float(f"{hours:.2g}"):,.0f}'
