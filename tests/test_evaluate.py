"""Tests of `python -m trax_hourglass.evaluate`, run in process."""

import shutil

import numpy as np
import pytest

from tests.commands import arguments
from trax_hourglass import commands, evaluate, train


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A trained model's directory, and what the test split scored there."""
  directory = tmp_path_factory.mktemp('run')
  text = directory / 'text'
  text.write_bytes(np.random.default_rng(0).bytes(2000))
  train.main(arguments(text, directory))
  return directory


def score(capsys, *argv):
  evaluate.main(['evaluate', *map(str, argv)])
  out, err = capsys.readouterr()
  assert [x.split()[0] for x in err.splitlines()] == [
    'checkpoint',
    'configuration',
  ]
  return out


def test_output_dir_is_enough(run, capsys):
  out = score(capsys, f'--output_dir={run}')
  assert out.endswith(' bits per byte over 100 bytes\n')
  assert 2 < float(out.split()[0]) < 9


def test_the_function_returns_what_the_command_prints(run, capsys):
  step = 'evaluate.step = 5'
  scored = commands.evaluate(str(run), config=[step])
  capsys.readouterr()
  assert f'{scored}\n' == score(
    capsys, f'--output_dir={run}', f'--config={step}'
  )


def test_scores_as_training_did(run, capsys):
  train.main(arguments(run / 'text', run))
  (in_training,) = [
    line.partition('score')[2].strip()
    for line in capsys.readouterr().out.splitlines()
    if line.startswith('score ')
  ]
  assert score(capsys, f'--checkpoint={run}') == in_training + '\n'


def test_checkpoint_may_be_a_file_elsewhere(run, capsys, tmp_path):
  for path in run.glob('model*'):
    shutil.copy(path, tmp_path)
  assert score(
    capsys,
    f'--config_file={run}/config.gin',
    f'--checkpoint={tmp_path}/model.pkl.gz',
  ) == score(capsys, f'--output_dir={run}')


def test_config_overrides(run, capsys):
  def score_with(binding):
    return score(capsys, f'--output_dir={run}', f'--config=evaluate.{binding}')

  assert 'over 1,800 bytes' in score_with("split = 'train'")
  assert score_with('step = 5') != score_with('step = 16')
