"""Tests of `python -m trax_hourglass.benchmark`, run in process."""

import json

import jax
import pytest

from trax_hourglass import benchmark
from trax_hourglass.lab.benchmarks import (
  generation,
  pytorch,
  side_by_side,
  steps,
  table1,
)
from trax_hourglass.lab.benchmarks.contenders import Settings

TINY = [
  '--length=8',
  '--d_model=8',
  '--n_heads=2',
  '--hierarchy=1@1',
  '--baseline=1@1',
  '--dropout=0',
  '--repeats=2',
]
CHILD = """
import json
import sys

print(json.dumps({'weights': 3, 'to_end_of_first_step': 0.5}), flush=True)
for _ in sys.stdin:
  print(json.dumps({'seconds': 0.25, 'resident_memory': 2**21}), flush=True)
"""


@pytest.fixture(autouse=True)
def keep_caches(monkeypatch):
  """Other tests need them."""
  monkeypatch.setattr(jax, 'clear_caches', lambda: None)


@pytest.fixture(autouse=True)
def fake_pytorch(monkeypatch, tmp_path):
  script = tmp_path / 'child.py'
  script.write_text(CHILD)
  monkeypatch.setattr(pytorch, 'CHILD', script)
  monkeypatch.setattr(pytorch, 'installed', lambda: True)


def run(capsys, directory, *argv, name='benchmark'):
  benchmark.main(['benchmark', *argv, f'--output_dir={directory}'])
  out, _ = capsys.readouterr()
  with open(directory / f'{name}.json') as f:
    results = json.load(f)
  assert (directory / f'{name}.png').read_bytes().startswith(b'\x89PNG')
  return out, results


def test_measures_each_model(capsys, tmp_path):
  out, results = run(capsys, tmp_path, *TINY)
  (measured,) = results['runs']
  models = measured['models']
  # The authors' model has a shortened level at least.
  assert set(models) == {'trax_hourglass', 'Transformer-XL 1@1', pytorch.NAME}
  assert 'trax.models: has no 1@1 for this length' in out
  for name, facts in models.items():
    assert name in out
    assert len(facts['seconds']) == 2
  assert '2 MiB resident' in out
  assert models.pop(pytorch.NAME)['resident_memory'] == 2**21
  for facts in models.values():
    assert facts['product_operations'] > 0 < facts['temporary_memory']
    assert facts['to_end_of_first_step'] > facts['compile']
    assert list(facts['first_time_cpu']) == list(steps.PARTS)
    assert min(facts['first_time_cpu'].values()) > 0
    assert facts['compilations'] > 0 == facts['later_compilations']
  assert results['settings']['hierarchy'] == '1@1'


@pytest.mark.slow
def test_measures_the_authors_model_beside_ours(capsys, tmp_path):
  out, results = run(
    capsys,
    tmp_path,
    *TINY,
    '--hierarchy=1@1 1@2 0@1',
    '--dropout=0,0.1',
    '--what=step,forward',
  )
  runs = [(r['what'], r['dropout']) for r in results['runs']]
  assert runs == [
    ('step', 0),
    ('step', 0.1),
    ('forward', 0),
  ]
  for measured in results['runs']:
    models = measured['models']
    assert (pytorch.NAME in models) == (measured['dropout'] == 0)
    assert (
      models['trax.models']['weights'] == (models['trax_hourglass']['weights'])
    )
  assert f'{pytorch.NAME}: has no dropout' in out
  assert '1.00 (1.00-1.00)' in out


def test_the_function_measures_as_the_command_does(monkeypatch, capsys):
  monkeypatch.setattr(side_by_side, 'Program', FakeProgram)
  settings = Settings(length=8, d_model=8, hierarchy='1@1', n_heads=2)
  results = side_by_side.benchmark(
    settings, dropout=[0.0], models=['trax_hourglass'], repeats=3
  )
  [measured] = results['runs']
  assert measured['models']['trax_hourglass']['seconds'] == [0.5] * 3
  assert 'trax_hourglass' in capsys.readouterr().out


def test_first_times_are_compared_by_part():
  def facts(*seconds):
    return {'first_time_cpu': dict(zip(steps.PARTS, seconds, strict=True))}

  models = {
    'trax_hourglass': facts(1.0, 2.0, 3.0, 3.0),
    'trax.models': facts(4.0, 3.0, 2.0, 11.0),
    pytorch.NAME: {},
  }
  header, *rows = map(str.split, side_by_side.first_times(models).splitlines())
  assert header[4:8] == list(steps.PARTS)
  assert rows == [
    ['trax_hourglass', '1', '2', '3', '3', '9', '0.45'],
    ['trax.models', '4', '3', '2', '11', '20', '1.00'],
  ]


def test_without_pytorch_says_so(capsys, tmp_path, monkeypatch):
  monkeypatch.setattr(pytorch, 'installed', lambda: False)
  monkeypatch.setattr(side_by_side, 'Program', FakeProgram)
  out, _ = run(capsys, tmp_path, *TINY)
  assert f"{pytorch.NAME}: not installed; the extra 'torch'" in out


def test_measures_the_models_that_are_named(capsys, tmp_path, monkeypatch):
  monkeypatch.setattr(side_by_side, 'Program', FakeProgram)
  argv = [*TINY, '--hierarchy=1@1 1@2 0@1', '--models=trax_hourglass']
  for rematerialize in (False, True):
    out, results = run(
      capsys, tmp_path, *argv, f'--rematerialize={rematerialize}'
    )
    (measured,) = results['runs']
    ((name, facts),) = measured['models'].items()
    assert name == 'trax_hourglass'
    assert ('Rematerialized' in facts['model']) is rematerialize
    assert pytorch.NAME not in out
    assert 'trax.models:' not in out


class FakeProgram:
  """Builds a model, and does nothing with it."""

  def __init__(self, work, build, length, batch_size):
    self.facts = {
      'model': str(build('train')),
      'weights': 1,
      'to_end_of_first_step': 1.0,
      'total_memory': length * batch_size,
      'first_time_cpu': dict.fromkeys(steps.PARTS, float(length)),
    }

  def __call__(self):
    return 0.5


def test_table_1_takes_its_models_from_gin_files(capsys, tmp_path, monkeypatch):
  names = ['12@1', '5@1 8@2 5@1']
  rows = [row for row in table1.ROWS if row.hierarchy in names]
  monkeypatch.setattr(table1, 'ROWS', rows)
  monkeypatch.setattr(table1, 'Program', FakeProgram)
  out, results = run(
    capsys, tmp_path, '--table1', '--batch_size=3', '--repeats=1', name='table1'
  )
  assert list(results['models']) == names
  assert results['settings'] == {'lengths': [2048], 'batch_size': 3}
  assert results['models']['12@1']['total_memory'] == 2048 * 3
  assert 'length 2048, batch 3' in out


@pytest.mark.slow
def test_table_1_measures(capsys, tmp_path, monkeypatch):
  rows = [row for row in table1.ROWS if row.hierarchy in ('6@1', '12@1')]
  monkeypatch.setattr(table1, 'ROWS', rows)
  model = 'trax_hourglass.HourglassLM'
  _, results = run(
    capsys,
    tmp_path,
    '--table1',
    '--repeats=2',
    '--config=LENGTH = 8',
    f'--config={model}.d_model = 16',
    f'--config={model}.d_ff = 16',
    name='table1',
  )
  half, whole = results['models'].values()
  # Embedding, logits, norm and the biases of attention.
  common = 2 * 256 * 16 + 256 + 4 * 16
  assert whole['weights'] - common == 2 * (half['weights'] - common)
  assert half['total_memory'] < whole['total_memory']
  assert len(half['seconds']) == len(half['ratios']) == 2


@pytest.mark.slow
def test_measures_generation(capsys, tmp_path, monkeypatch):
  monkeypatch.setattr(generation, 'CACHED', ('0@1 1@2 0@1', '1@1'))
  out, results = run(
    capsys,
    tmp_path,
    '--generation',
    '--length=64',
    '--d_model=8',
    '--n_heads=2',
    '--hierarchy=0@1 1@2 0@1',
    '--baseline=1@1',
    '--repeats=2',
    name='generation',
  )
  assert results['settings']['places']['late'] == 61
  assert set(results['seconds']) >= {'ours', 'late', 'prompt in one pass'}
  for seconds in (*results['seconds'].values(), *results['ratios'].values()):
    assert len(seconds) == 2
    assert min(seconds) > 0
  assert set(results['caches']) == {
    'attention resampling',
    'average and repeat',
  }
  assert 'time per token, late against early' in out
