"""Tests that a checkpoint is read with the configuration of its training."""

from pathlib import Path
import re
import shutil

import pytest

from tests.commands import arguments
from trax_hourglass import evaluate, generate, train
from trax_hourglass.errors import UserError
from trax_hourglass.training.checkpoints import configs, find, format


@pytest.fixture(scope='module')
def run(text, tmp_path_factory):
  """A run resumed with other configurations: A to step 2, B to 4, A to 6."""
  directory = tmp_path_factory.mktemp('run')
  for steps, n_bytes in ((2, 100), (4, 50), (6, 100)):
    train.main(
      arguments(
        text,
        directory,
        f'train.steps = {steps}',
        'trax_hourglass.Loop.keep_last = 9',
        f'trax_hourglass.evaluate.n_bytes = {n_bytes}',
      )
    )
  return directory


def _scored(capsys, *argv):
  """Returns the number of bytes scored and the configuration, as printed."""
  evaluate.main(['evaluate', *map(str, argv)])
  out, err = capsys.readouterr()
  (config,) = (x for x in err.splitlines() if x.startswith('configuration '))
  return out.split('over ')[1].split()[0], config.split()[1]


def _step(directory, step):
  return directory / 'checkpoints' / f'step_{step:08}'


@pytest.mark.parametrize(('step', 'n_bytes'), [(2, '100'), (4, '50')])
def test_evaluate_takes_the_configuration_of_the_step(
  run, capsys, tmp_path, step, n_bytes
):
  config = _step(run, step) / 'config.gin'
  for path in (config.parent, config.parent / 'model.pkl.gz'):
    assert _scored(capsys, f'--checkpoint={path}') == (n_bytes, str(config))
  copy = shutil.copytree(config.parent, tmp_path / 'copy')
  found = _scored(capsys, f'--checkpoint={copy}')
  assert found == (n_bytes, f'{copy}/config.gin')


@pytest.mark.parametrize('name', ['', 'model.pkl.gz', 'latest'])
@pytest.mark.parametrize('with_links', [True, False])
def test_finds_the_last_configuration(run, tmp_path, name, with_links):
  # Without links a copy has files and folders of their own in their place.
  directory = shutil.copytree(run, tmp_path / 'run', symlinks=with_links)
  path = configs.find(find.find_checkpoint(str(directory / name)))
  assert 'n_bytes = 100' in Path(path).read_text()
  assert 'train.steps = 6' in Path(path).read_text()


def test_a_checkpoint_and_its_configuration_are_verified(run, tmp_path):
  copy = shutil.copytree(_step(run, 2), tmp_path / 'copy')
  (copy / 'config.gin').write_text('')
  with pytest.raises(UserError, match=r'damaged \(config.gin: got 0 bytes'):
    find.find_checkpoint(str(copy))


def test_what_went_on_with_other_configurations_says_so(run):
  assert sorted(path.name for path in run.glob('*.gin')) == [
    'config.gin',
    'config_2.gin',
    'config_4.gin',
  ]
  assert not any(path.is_symlink() for path in run.glob('*.gin'))
  for name in ('config.gin', 'config_4.gin'):
    assert 'n_bytes = 100' in (run / name).read_text()


@pytest.mark.parametrize(
  ('step', 'name'),
  [(1, 'config.gin'), (4, 'config_4.gin'), (99, 'config_10.gin')],
)
def test_earlier_runs_have_them_by_step(tmp_path, monkeypatch, step, name):
  for config in ('config.gin', 'config_4.gin', 'config_10.gin', 'config_b.gin'):
    (tmp_path / config).touch()
  monkeypatch.setattr(format, 'read_step', lambda path: step)
  folder = _step(tmp_path, step)
  folder.mkdir(parents=True)
  (folder / 'manifest.json').touch()
  for path in (tmp_path / 'model.pkl.gz', folder / 'model.pkl.gz'):
    path.touch()
    assert configs.find(str(path)) == str(tmp_path / name)
  monkeypatch.chdir(tmp_path)
  assert configs.find('model.pkl.gz') == f'./{name}'


def test_no_configuration(tmp_path):
  assert configs.find(str(tmp_path / 'model.pkl.gz')) is None


def test_generate_names_the_configuration(run, capsys):
  folder = _step(run, 4)
  generate.main(['generate', f'--checkpoint={folder}', '--length=2'])
  assert f'configuration  {folder}/config.gin\n' in capsys.readouterr().err


def test_names_the_files_that_are_given(run, text, capsys):
  given = str(run / 'config_2.gin')
  found = _scored(capsys, f'--output_dir={run}', f'--config_file={given}')
  assert found == ('50', given)


def test_a_resumed_run_keeps_the_seed_in_force(text, tmp_path):
  seeds = []
  for steps, seed in ((1, 5), (2, 7), (3, None)):
    train.main(
      arguments(
        text,
        tmp_path,
        f'train.steps = {steps}',
        f'train.random_seed = {seed}',
        'trax_hourglass.evaluate.text = None',
      )
    )
    config = (_step(tmp_path, steps) / 'config.gin').read_text()
    seeds.append(re.search('^# seed: (.*)$', config, re.M)[1])
  assert seeds == ['5', '7', '7']
