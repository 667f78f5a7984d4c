"""The paper's own experiments: prepared, and not run here."""

from typing import NamedTuple

from trax_hourglass.benchmarks import table1


class Prepared(NamedTuple):
  """An experiment of the paper that nobody could run here."""

  what: str
  result: str
  takes: str
  file: str


_TITANS = 'four Titan V'

EXPERIMENTS = (
  Prepared(
    'enwik8, Table 2',
    '0.98 bits per byte, test',
    '350k steps at batch 8; hours not stated',
    'enwik8.gin',
  ),
  Prepared(
    'ImageNet32, Table 3',
    '3.74 bits per dim',
    '470k steps at batch 64; hours not stated',
    'imagenet32.gin',
  ),
  Prepared(
    'ImageNet64, Table 3',
    '3.44 bits per dim',
    '300k steps at batch 64; hours not stated',
    'imagenet64.gin',
  ),
  *(
    Prepared(
      f'Table 1, `{row.hierarchy}`',
      f'{row.bits:.3f} bits per byte, validation',
      f'{200_000 / row.steps_per_second / 3600:.0f} hours, {_TITANS}',
      table1.file_name(row.hierarchy),
    )
    for row in table1.ROWS
  ),
)
