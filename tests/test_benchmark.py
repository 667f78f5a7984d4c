"""Tests of `python -m trax_hourglass.benchmark`, run in process."""

import json

import jax
from jax import numpy as jnp
import pytest

from tests.commands import fails
from trax_hourglass import benchmark
from trax_hourglass.benchmarks import operations

TINY = [
  '--length=8',
  '--d_model=8',
  '--n_heads=2',
  '--hierarchy=1@1',
  '--baseline=1@1',
  '--dropout=0',
  '--repeats=2',
]


def run(capsys, directory, *argv):
  benchmark.main(['benchmark', *argv, f'--output_dir={directory}'])
  out, _ = capsys.readouterr()
  with open(directory / 'benchmark.json') as f:
    results = json.load(f)
  assert (directory / 'benchmark.png').read_bytes().startswith(b'\x89PNG')
  return out, results


def test_measures_each_model(capsys, tmp_path):
  out, results = run(capsys, tmp_path, *TINY)
  (measured,) = results['runs']
  # The authors' model has a shortened level at least.
  assert set(measured['models']) == {'trax_hourglass', 'Transformer-XL 1@1'}
  assert 'trax.models: has no 1@1 for this length' in out
  for name, facts in measured['models'].items():
    assert name in out
    assert len(facts['step']) == 2
    assert facts['product_operations'] > 0 < facts['temporary_memory']
    assert facts['to_end_of_first_step'] > facts['compile']
  assert results['settings']['hierarchy'] == '1@1'


@pytest.mark.slow
def test_measures_the_authors_model_beside_ours(capsys, tmp_path):
  out, results = run(
    capsys, tmp_path, *TINY, '--hierarchy=1@1 1@2 0@1', '--dropout=0,0.1'
  )
  assert [r['dropout'] for r in results['runs']] == [0, 0.1]
  for measured in results['runs']:
    models = measured['models']
    assert (
      models['trax.models']['weights'] == (models['trax_hourglass']['weights'])
    )
  assert '1.00 (1.00-1.00)' in out


def test_counts_products_as_often_as_they_run():
  x = jnp.ones((4, 5))

  def f(x):
    def body(carry, _):
      return carry + jnp.sum(x @ x.T), None

    total, _ = jax.lax.scan(body, 0.0, length=3)
    return jax.lax.cond(total > 0, lambda: jnp.sum(x.T @ x), lambda: 0.0)

  jaxpr = jax.make_jaxpr(f)(x).jaxpr
  assert (
    operations.product_operations(jaxpr) == 3 * 2 * 4 * 5 * 4 + 2 * 5 * 4 * 5
  )


@pytest.mark.parametrize(
  ('argv', 'message'),
  [
    (['--dropout=a'], "--dropout: got 'a'"),
    (['--repeats=0'], 'repeats: got 0'),
    (['--config_file=quickstart.gin'], '--config_file has no effect here'),
    (['--hierarchy=2@'], "'2@'"),
  ],
)
def test_names_what_is_wrong(capsys, argv, message):
  argv = ['benchmark', *TINY, *argv]
  assert message in fails(capsys, argv, main=benchmark.main)
