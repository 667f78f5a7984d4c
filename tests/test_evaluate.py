"""Tests of `python -m trax_hourglass.evaluate`, run in process."""

import gzip
import os
import pickle
import shutil

import numpy as np
import pytest

from tests.commands import arguments, fails
from trax_hourglass import evaluate, train


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
  assert not err
  return out


def test_output_dir_is_enough(run, capsys):
  out = score(capsys, f'--output_dir={run}')
  assert out.endswith(' bits per byte over 100 bytes\n')
  assert 2 < float(out.split()[0]) < 9


def test_run_returns_what_the_command_prints(run, capsys):
  argv = ['evaluate', f'--output_dir={run}']
  assert f'{evaluate.run(argv)}\n' == score(capsys, *argv[1:])


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


@pytest.mark.parametrize(
  'argv, message',
  [
    ([], 'checkpoint: not given'),
    (['--checkpoint=/nothing'], 'checkpoint: /nothing does not exist'),
    (['--output_dir={empty}'], 'no model.pkl.gz in {empty}'),
    (
      ['--config=trax_hourglass.HourglassLM.d_model = 16'],
      "expected the model's (256, 16)",
    ),
    (
      ["--config=trax_hourglass.HourglassLM.hierarchy = '1@1'"],
      'weight arrays',
    ),
    (['--config=evaluate.text = None'], 'evaluate_images.images is bound'),
    (
      ['--config=evaluate_images.images = @photos32()'],
      'are both bound, expected one',
    ),
    (['--checkpoint=a', '--init_checkpoint=b'], 'are both given'),
    (['--config=evaluate.step = 17'], 'step: got 17'),
    (["--config=text_file.path = '/nothing'"], '/nothing'),
    (['--config=train.model = None'], 'train.model is not bound'),
    (['--train_batch_size=3'], '--train_batch_size has no effect'),
  ],
)
def test_refuses(run, capsys, tmp_path, argv, message):
  if argv and argv[0].startswith('--config'):
    argv = [f'--output_dir={run}', *argv]
  argv = [argument.format(empty=tmp_path) for argument in argv]
  line = fails(capsys, ['evaluate', *argv], main=evaluate.main)
  assert line.startswith('error: ')
  assert message.format(empty=tmp_path) in line


class _Gadget:
  def __init__(self, path):
    self._path = path

  def __reduce__(self):
    return os.mkdir, (str(self._path),)


@pytest.mark.parametrize('main', [evaluate.main, train.main])
def test_hostile_checkpoint_is_refused_and_not_run(run, capsys, tmp_path, main):
  content = {'flat_weights': 2, 'flat_state': _Gadget(tmp_path / 'ran')}
  path = tmp_path / 'model.pkl.gz'
  path.write_bytes(gzip.compress(pickle.dumps(content)))
  argv = [
    'command',
    f'--config_file={run}/config.gin',
    f'--init_checkpoint={tmp_path}',
    f'--output_dir={tmp_path}/made',
  ]
  line = fails(capsys, argv, main=main)
  assert f'{path}: names posix.mkdir, which is no part' in line
  argv = [*argv[:2], f'--output_dir={tmp_path}']
  assert 'posix.mkdir' in fails(capsys, argv, main=main)
  assert not (tmp_path / 'ran').exists()
  assert not (tmp_path / 'made').exists()
