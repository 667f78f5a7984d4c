import re

import pytest

from tests.gin_tables import TABLE_1
from trax_hourglass.configuration import registration
from trax_hourglass.lab.benchmarks import table1


@pytest.mark.parametrize('row', table1.ROWS, ids=lambda row: row.hierarchy)
def test_rows_are_those_of_the_gin_files(row):
  path = registration.GIN_DIRECTORY / table1.file_name(row.hierarchy)
  header = ' '.join(path.read_text().replace('\n#', ' ').split())
  assert re.search(
    rf'paper: {row.bits:.3f} bits .* {row.gigabytes:.2f} GB, '
    rf'{row.steps_per_second:.2f} steps/s',
    header,
  )


def test_has_every_row():
  assert {row.hierarchy for row in table1.ROWS} == set(TABLE_1)


class Program:
  def __init__(self, hierarchy, log):
    self.seconds = 4.0 if hierarchy == '12@1' else 2.0
    total_memory = 2**30 if hierarchy == '12@1' else 2**28
    self.facts = {'weights': 1000, 'total_memory': total_memory}
    self.hierarchy, self.log = hierarchy, log

  def __call__(self):
    self.log.append(self.hierarchy)
    return self.seconds


@pytest.fixture(scope='module')
def log():
  return []


@pytest.fixture(scope='module')
def measured(log):
  return table1.measure(lambda hierarchy: Program(hierarchy, log), repeats=2)


def test_the_baseline_takes_its_turn_in_each_group(measured, log):
  assert list(measured) == [row.hierarchy for row in table1.ROWS]
  assert measured['6@1']['ratios'] == [0.5, 0.5]
  assert measured['12@1']['seconds'] == [4.0] * 2 * 3
  assert log[:6] == ['12@1', *list(measured)[:5]]
  assert log.count('14@1') == 2


def test_table_has_ours_beside_the_paper(measured):
  [line] = [
    line
    for line in table1.table(measured).splitlines()
    if line.startswith('2@1 8@3 2@1')
  ]
  ours, paper = line.split('|')
  ours = ours.removeprefix('2@1 8@3 2@1').split()
  assert ours == ['0.001M', '256', '0.25', '0.5', '0.50', '(0.50-0.50)']
  assert paper.split() == ['1.111', '5.50', '0.68', '0.88', '0.53']


def test_draws_a_picture(measured, tmp_path):
  path = tmp_path / 'table1.png'
  table1.plot({'models': measured, 'title': 'Table 1'}, str(path))
  assert path.read_bytes().startswith(b'\x89PNG')
