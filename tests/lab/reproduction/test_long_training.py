"""The order and the settings in which `tiny.gin`'s models are trained."""

import dataclasses
import gc
import json

import pytest

from tests.lab.reproduction.small_runs import argv, pretend_to_train
from trax_hourglass import commands, reproduce
from trax_hourglass.lab.reproduction import costs, page
from trax_hourglass.training.checkpoints import locking

pytestmark = pytest.mark.usefixtures('reproduce_flags')


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
  """Returns where, and with what flags, the models of `tiny.gin` trained."""
  home = tmp_path_factory.mktemp('tiny')
  configs, counted, timed = [], [], []

  def train_tiny(output_dir, *, config_file, config):
    configs.append(config)
    run = pretend_to_train(output_dir, config_file=config_file, config=config)
    penalty = 0.0 if 'LEARNING_RATE = 6e-3' in config else 0.1
    score = dataclasses.replace(run.score, bits=run.score.bits + penalty)
    return dataclasses.replace(run, score=score)

  def count(model, steps):
    counted.append((model.length, model.batch_size, steps))
    return 10 * len(counted)

  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(home)
    patch.setattr(commands, 'train', train_tiny)
    patch.setattr(costs, 'training_operations', count)
    patch.setattr(costs, 'step_costs', lambda *_: timed.append(1))
    patch.setattr(page, 'write', lambda *_: None)
    patch.setattr(gc, 'collect', lambda: 0)
    flags = argv(home / 'found', '--study=tiny', '--nocosts', config=())
    reproduce.main(flags)
    reproduce.main(flags)  # All is there.
  assert not timed
  assert counted == [(504, 8, 1)] * 15
  return home / 'found', configs


def test_the_best_rate_of_the_baseline_serves_all(tiny):
  found, configs = tiny
  trials, runs = configs[:3], configs[3:]
  for trial, rate in zip(trials, ('1.5e-3', '3e-3', '6e-3'), strict=True):
    assert trial == [
      "HIERARCHY = '6@1'",
      'STEPS = 2000',
      f'LEARNING_RATE = {rate}',
      'SEED = 0',
    ]
  for run in runs:
    assert 'LEARNING_RATE = 6e-3' in run
  content = json.loads((found / 'tiny.json').read_text())
  chosen = {r['variant']: r.get('chosen') for r in content['records']}
  assert len(chosen) == 12
  for variant, candidate in chosen.items():
    is_trial = variant.startswith('peak')
    assert candidate == (None if is_trial else 'peak 0.006')


def test_the_most_informative_runs_come_first(tiny):
  _, configs = tiny
  assert [(run[0], run[-1]) for run in configs[3:9]] == [
    (f"HIERARCHY = '{hierarchy}'", f'SEED = {seed}')
    for seed in range(3)
    for hierarchy in ('6@1', '2@1 8@3 2@1')
  ]
  assert len(configs) == 3 + 2 * 3 + 5 + 2
  assert all('STEPS = 24000' in run for run in configs[-2:])


def test_a_record_keeps_the_learning_curve(tiny):
  found, _ = tiny
  content = json.loads((found / 'tiny.json').read_text())
  curves = {(r['seed'], str(r['curve'])) for r in content['records']}
  assert curves == {
    (seed, f'[[1, 8.0], [2, {2.0 + seed / 10}]]') for seed in range(3)
  }


def test_candidates_that_another_process_tries_are_waited_for(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(commands, 'train', pretend_to_train)
  monkeypatch.setattr(costs, 'training_operations', lambda *_, **__: 10)
  original = locking.locked

  def locked(directory):
    if 'peak_0_003' in directory:
      raise locking.InUseError('in use')
    return original(directory)

  monkeypatch.setattr(locking, 'locked', locked)
  found = tmp_path / 'found'
  reproduce.main(argv(found, '--study=tiny', config=()))
  assert 'left to another process: 14 runs' in capsys.readouterr().out
  records = json.loads((found / 'tiny.json').read_text())['records']
  assert [r['variant'] for r in records] == ['peak 0.0015', 'peak 0.006']
