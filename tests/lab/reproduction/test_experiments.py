"""Runs of an experiment's variants, most of them trained: slow."""

import shutil

import pytest

from tests.lab.reproduction.small_runs import CHUNKS, SMALL
from trax_hourglass.lab.reproduction.experiments import Experiment
from trax_hourglass.training.checkpoints import locking

pytestmark = pytest.mark.usefixtures('reproduce_flags')


@pytest.mark.slow
def test_a_run_leaves_its_record_and_no_checkpoints(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  chunks = Experiment('chunks', str(tmp_path / 'found'), CHUNKS)
  variants = chunks.variants()
  [record] = chunks.run(variants, '0@1 2@3 0@1', seed=0)
  assert 2 < record.pop('bits') < 12
  assert 0 <= record.pop('accuracy') < 0.7
  assert [step for step, _ in record.pop('curve')] == [1]
  assert record == {
    'variant': '0@1 2@3 0@1',
    'standard_error': None,  # Of so short a text.
    'seed': 0,
    'steps': 2,
    'weights': record['weights'],
    'scored_on': 'chunks of 26 letters, validation split',
  }
  assert len(chunks.records()) == 1
  # Checkpoints go when a result is there.
  assert list((tmp_path / 'found' / 'runs' / 'chunks').iterdir()) == []
  assert chunks.run(variants, '0@1 2@3 0@1', seed=0) == []
  assert list((tmp_path / 'found' / 'runs' / 'chunks').iterdir()) == []


@pytest.mark.slow
def test_shorten_factor_dropout_is_scored_at_each_factor(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  config = (*SMALL, 'trax_hourglass.evaluate.n_bytes = 500')
  text = Experiment('text', str(tmp_path / 'found'), config)
  variants = text.variants()
  at_2, at_3 = text.run(variants, 'k from {2,3}, at 2', seed=0)
  assert at_2['variant'] == 'k from {2,3}, at 2'
  assert at_3['variant'] == 'k from {2,3}, at 3'
  assert at_2['bits'] != at_3['bits']
  assert at_2['weights'] == at_3['weights']


@pytest.mark.slow
def test_completions_are_scored_and_drawn(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  config = (
    *(b for b in SMALL if 'WARMUP' not in b),
    'trax_hourglass.evaluate_images.n_images = 2',
  )
  completions = Experiment('completions', str(tmp_path / 'found'), config)
  picture = tmp_path / 'figure8.png'
  completions.complete(str(picture))
  [record] = completions.records()
  assert record['steps'] == 2
  assert len(record['bits_per_dim']) == len(record['images'])
  assert picture.read_bytes().startswith(b'\x89PNG')


def test_a_run_just_finished_by_another_process_is_skipped(
  tmp_path, monkeypatch
):
  """It removes the directory between its making here and its lock."""
  experiment, original = Experiment('chunks', str(tmp_path)), locking.locked
  done = {'variant': '0@1 2@3 0@1', 'seed': 0, 'bits': 3.0}

  def remove_and_lock(directory):
    shutil.rmtree(directory)
    experiment.add([done])
    return original(directory)

  monkeypatch.setattr(locking, 'locked', remove_and_lock)
  assert experiment.run(experiment.variants(), '0@1 2@3 0@1', seed=0) == []
  assert experiment.records() == [done]
  assert list((tmp_path / 'runs' / 'chunks').iterdir()) == []
