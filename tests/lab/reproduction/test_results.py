import json
import multiprocessing

import pytest

from trax_hourglass.errors import UserError
from trax_hourglass.lab.reproduction import results

SETTINGS = {'file': 'a.gin', 'config': []}


def record(variant, seed, bits=2.0):
  return {'variant': variant, 'seed': seed, 'bits': bits}


def test_records_are_added_and_replaced(tmp_path):
  path = str(tmp_path / 'deep' / 'a.json')
  assert results.read(path, SETTINGS) == []
  results.add(path, SETTINGS, [record('b', 1), record('a', 0)])
  results.add(path, SETTINGS, [record('b', 1, bits=3.0)])
  records = results.read(path, SETTINGS)
  assert records == [record('a', 0), record('b', 1, bits=3.0)]
  assert results.find(records, 'b', 1) == record('b', 1, bits=3.0)
  assert results.find(records, 'b', 0) is None
  assert results.values(records, 'b') == [3.0]


def test_lists_of_numbers_are_lines(tmp_path):
  path = tmp_path / 'a.json'
  curve = [[250, 2.5], [500, float('nan')]]
  one = {**record("a ['b']", 0), 'curve': curve, 'seconds': [0.1, 0.2]}
  results.add(str(path), SETTINGS, [one])
  lines = [line.strip() for line in path.read_text().splitlines()]
  assert '[250, 2.5],' in lines
  assert '"seconds": [0.1, 0.2]' in lines
  assert str(results.read(str(path), SETTINGS)) == str([one])


def test_other_settings_are_refused(tmp_path):
  path = str(tmp_path / 'a.json')
  results.add(path, SETTINGS, [record('a', 0)])
  other = {**SETTINGS, 'config': ['STEPS = 1']}
  with pytest.raises(UserError, match='give another --output_dir'):
    results.add(path, other, [record('a', 1)])
  assert results.read(path, SETTINGS) == [record('a', 0)]


def test_broken_file(tmp_path):
  path = tmp_path / 'a.json'
  path.write_text('{')
  with pytest.raises(UserError, match='expected JSON'):
    results.read(str(path), SETTINGS)


def _add(path, first):
  for seed in range(first, first + 20):
    results.add(path, SETTINGS, [record('a', seed)])


@pytest.mark.slow
def test_two_processes_add_to_one_file(tmp_path):
  path = str(tmp_path / 'a.json')
  context = multiprocessing.get_context('spawn')
  processes = [
    context.Process(target=_add, args=(path, first)) for first in (0, 20)
  ]
  for process in processes:
    process.start()
  for process in processes:
    process.join()
  seeds = [
    r['seed'] for r in json.loads((tmp_path / 'a.json').read_text())['records']
  ]
  assert seeds == list(range(40))
