"""The comparison on an accelerator, rehearsed on a CPU."""

import json
import types

import jax
import pytest

from trax_hourglass import benchmark
from trax_hourglass.lab.benchmarks import accelerator, pytorch

TINY = [
  '--accelerator',
  '--length=64',
  '--d_model=16',
  '--n_heads=2',
  '--hierarchy=0@1 1@2 0@1',
  '--baseline=1@1',
  '--repeats=1',
]


class FakeProgram:
  """Does nothing."""

  def __init__(self, *_):
    self.facts = {'total_memory': 3 * 2**20}

  def __call__(self):
    return 0.5


@pytest.fixture(autouse=True)
def set_up(monkeypatch):
  monkeypatch.setattr(jax, 'clear_caches', lambda: None)  # For other tests.
  monkeypatch.setattr(pytorch, 'installed', lambda: False)


def run(capsys, directory, *argv):
  benchmark.main(['benchmark', *TINY, *argv, f'--output_dir={directory}'])
  out, _ = capsys.readouterr()
  results = json.loads((directory / 'accelerator.json').read_text())
  assert (directory / 'accelerator.png').read_bytes().startswith(b'\x89PNG')
  return out, {
    (row['length'], row['dtype'], row['name']): row for row in results['rows']
  }


@pytest.mark.slow
def test_measures_what_runs_and_says_why_the_rest_does_not(
  capsys, tmp_path, monkeypatch
):
  monkeypatch.setattr(accelerator, '_SHARES', (8,))
  out, rows = run(capsys, tmp_path)
  assert len(rows) == 8 + 3
  for (length, dtype, name), row in rows.items():
    assert length == 8
    if 'cudnn' in name:
      assert "got 'cpu', but it needs an NVIDIA GPU" in row['remark']
    elif name == pytorch.NAME:
      assert 'not installed' in row['remark']
    elif dtype == 'float32':  # The tests' flags of XLA are not for bfloat16.
      assert min(row['seconds']) > 0
      assert row['tokens'] == (1 if 'token' in name else 64)
  assert '| 8 ' in out


def test_starts_nothing_more_when_time_is_up(capsys, tmp_path, monkeypatch):
  monkeypatch.setattr(accelerator, 'Program', FakeProgram)
  monkeypatch.setattr(accelerator.operations, 'matrix_product_rate', lambda: 1)
  clock = iter([0.0, *[59.0] * 5, *[61.0] * 99])
  monkeypatch.setattr(
    accelerator, 'time', types.SimpleNamespace(monotonic=lambda: next(clock))
  )
  out, rows = run(capsys, tmp_path, '--minutes=1')
  assert [length for length, *_ in rows] == sorted(n for n, *_ in rows)
  measured = [key for key, row in rows.items() if 'seconds' in row]
  assert {length for length, *_ in measured} == {8, 32, 64}
  assert len(measured) == 5
  assert rows[64, 'bfloat16', measured[0][2]]['memory'] == 3 * 2**20
  # Each is printed at once, and in the table.
  assert out.count('no time was left') == 2 * (len(rows) - 5) > 0


def test_refuses_what_has_no_effect():
  for argv in (['--accelerator', '--dropout=0'], ['--minutes=3']):
    with pytest.raises(SystemExit) as e:
      benchmark.main(['benchmark', *argv])
    assert e.value.code == 2
