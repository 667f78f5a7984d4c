"""Costs and operations of experiments, which need no training."""

import json

import pytest

from tests.commands import TINY
from tests.lab.reproduction.small_runs import SMALL, argv
from trax_hourglass import reproduce
from trax_hourglass.configuration import registration
from trax_hourglass.lab.reproduction import costs, measuring, prepared
from trax_hourglass.lab.reproduction.experiments import Experiment

pytestmark = pytest.mark.usefixtures('reproduce_flags')


@pytest.mark.slow
def test_costs_are_measured_and_recorded(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  config = (
    *SMALL,
    'trax_hourglass.reproduce.repeats = 1',
    "trax_hourglass.reproduce.costs = {'one': ([], ['2@1', '1@1 1@3 1@1'])}",
  )
  text = Experiment('text', str(tmp_path / 'found'), config)
  measuring.measure_costs(text)
  found = {record['variant']: record for record in text.records('costs')}
  assert set(found) == {'2@1', '1@1 1@3 1@1'}
  for cost in found.values():
    assert (cost['length'], cost['batch_size']) == (240, 2)
    assert len(cost['seconds']) == 1
  assert found['2@1']['operations'] < found['1@1 1@3 1@1']['operations']


def test_costs_of_a_setting_are_measured_together(tmp_path, monkeypatch):
  """Again if one is missing, for steps are timed in turns."""
  measured = []

  def step_costs(models, repeats):
    del repeats
    measured.append([name for name, _ in models])
    return {name: {} for name in measured[-1]}

  monkeypatch.setattr(costs, 'step_costs', step_costs)
  text = Experiment('text', str(tmp_path))
  measuring.measure_costs(text)
  first = list(measured)
  assert [len(names) for names in first] == [13, 4]
  measuring.measure_costs(text)
  assert measured == first
  path = tmp_path / 'text_costs.json'
  content = json.loads(path.read_text())
  content['records'] = [
    r
    for r in content['records']
    if (r['variant'], r['setting']) != ('6@1', 'Figure 1')
  ]
  path.write_text(json.dumps(content))
  measuring.measure_costs(text)
  assert measured == [*first, first[0]]


def test_operations_of_trainings_are_counted_once(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
  row = prepared.Prepared('a', 'b', 'tin*.gin')
  monkeypatch.setattr(registration, 'GIN_DIRECTORY', TINY.parent)
  monkeypatch.setattr(prepared, 'COUNTED', [row])
  flags = argv(tmp_path / 'found', '--study=tables2and3', config=())
  reproduce.main(flags)
  path = tmp_path / 'found' / 'trainings.json'
  [record] = json.loads(path.read_text())['records']
  assert record['variant'] == 'tin*.gin'
  # 16 tokens, d_model 8, 256 logits, 2 sequences, 4 steps; no block at all.
  assert record['operations'] == 3 * 2 * 16 * 8 * 256 * 2 * 4
  assert 'operations of ' in capsys.readouterr().out
  before = path.read_text()
  reproduce.main(flags)
  assert path.read_text() == before
  assert 'operations of ' not in capsys.readouterr().out
