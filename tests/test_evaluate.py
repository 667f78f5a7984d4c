"""Tests of `python -m trax_hourglass.evaluate`, run in process."""

import gzip
import shutil
import string

import numpy as np
import pytest

from tests.commands import arguments, fails
from trax_hourglass import commands, evaluate, train


@pytest.fixture(scope='module')
def run(text, tmp_path_factory):
  """A trained model's directory, and what the test split scored there."""
  directory = tmp_path_factory.mktemp('run')
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


def test_scores_as_training_did(text, run, capsys):
  train.main(arguments(text, run))
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


def test_bits_of_each_byte_and_a_page_of_them(run, capsys, tmp_path):
  per_byte, html = tmp_path / 'bits.npy', tmp_path / 'page.html'
  flags = (f'--output_dir={run}', f'--per_byte={per_byte}', f'--html={html}')
  line, *written = score(capsys, *flags).splitlines()
  assert written == [f'per_byte       {per_byte}', f'html           {html}']
  bits = np.load(per_byte)
  assert (bits.dtype, bits.shape) == (np.float32, (100,))
  assert float(line.split()[0]) == pytest.approx(bits.mean(), abs=5.1e-5)
  expected = commands.evaluate(str(run), config=['evaluate.n_bytes = 60']).each
  np.testing.assert_allclose(bits[:48], expected[:48], atol=1e-5)  # Windows: 16
  assert line in html.read_text().replace('&#x27;', "'")
  assert sorted(x.name for x in tmp_path.iterdir()) == ['bits.npy', 'page.html']


def test_a_file_is_scored_whole(text, run, capsys, tmp_path):
  """Whether the configuration scores a text or not."""
  content = text.read_bytes()[1900:]
  (tmp_path / 'test.gz').write_bytes(gzip.compress(content))
  without = tmp_path / 'without.gin'
  without.write_text(f"include '{run}/config.gin'\nevaluate.text = None\n")
  out = score(
    capsys,
    f'--output_dir={run}',
    f'--config_file={without}',
    f'--text={tmp_path}/test.gz',
    '--config=evaluate.batch_size = 3',
  )
  assert out == score(capsys, f'--output_dir={run}')


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (['--text=$none'], '$none: cannot be read'),
    (
      ['--per_byte=$none/x.npy'],
      '$none/x.npy: cannot be written (No such file',
    ),
    (['--html=$tmp'], "'$tmp': got a folder, expected the name of a file"),
    (['--html='], "--html: got '', expected a value"),
    (
      ['--text=$text', '--config=evaluate.split = "train"'],
      'text: given beside --config=trax_hourglass.evaluate.split',
    ),
    (
      ['--text=$text', '--per_byte=$tmp/x.npy', '--config=evaluate.step = 17'],
      'step: got 17',
    ),
  ],
)
def test_mistakes_leave_nothing(text, run, capsys, tmp_path, flags, message):
  places = {'none': tmp_path / 'none', 'tmp': tmp_path, 'text': text}
  flags = [string.Template(flag).substitute(places) for flag in flags]
  argv = ['evaluate', f'--output_dir={run}', *flags]
  line = fails(capsys, argv, main=evaluate.main)
  assert string.Template(message).substitute(places) in line
  assert not list(tmp_path.iterdir())
