"""Tests of resuming from an older checkpoint, or from one elsewhere."""

import os
import shutil

import jax
import numpy as np
import pytest
from trax.supervised import training as trax_training

from tests.training.small_loop import batches, small_loop, weights
from trax_hourglass import load_checkpoint
from trax_hourglass.training import find_checkpoint
from trax_hourglass.training.checkpoints import folders


def _steps(directory):
  return [one.step for one in folders.stored(str(directory))]


def _folder(directory, step):
  return str(directory / f'checkpoints/step_{step:08}')


def _aside(directory, n=1):
  folder = directory / f'checkpoints/abandoned_{n}'
  return sorted(path.name for path in folder.iterdir())


def _copy(loop):
  return [x.copy() for x in weights(loop)]


def _assert_has(path, expected):
  """Fails unless a checkpoint has these weights."""
  for x, y in zip(
    load_checkpoint(str(path))['flat_weights'], expected, strict=True
  ):
    np.testing.assert_array_equal(x, y)


def _is_killed(*args):
  raise KeyError('as if the process were killed')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """A directory with steps 2, permanent, 6, 8, 10, and weights of 10."""
  directory = tmp_path_factory.mktemp('trained')
  loop = _loop(directory)
  loop.run(10)
  assert _steps(directory) == [10, 8, 6, 2]
  return directory, _copy(loop)


@pytest.fixture
def run(trained, tmp_path):
  """A copy of that directory."""
  shutil.copytree(trained[0], tmp_path / 'run', symlinks=True)
  return tmp_path / 'run'


def _loop(directory, **kwargs):
  kwargs = {
    'checkpoint_at': lambda step: step % 2 == 0,
    'permanent_checkpoint_at': lambda step: step == 2,
    **kwargs,
  }
  return small_loop(directory, **kwargs)


def test_what_does_not_lead_to_a_run_is_set_aside(run, trained, capsys):
  loop = _loop(run)
  loop.load_checkpoint(_folder(run, 2))
  assert _steps(run) == [10, 8, 6, 2]  # It may be loaded to be looked at.
  capsys.readouterr()
  loop.run(2)
  assert (loop.step, _steps(run)) == (4, [4, 2])
  assert capsys.readouterr().err == (
    'warning: going on from step 2: checkpoints of another trajectory, of '
    f'step 6, 8, 10, are set aside in {run}/checkpoints/abandoned_1; remove '
    'that folder if you do not need them\n'
  )
  assert _aside(run) == ['step_00000006', 'step_00000008', 'step_00000010']
  for path in (run, run / 'latest', run / 'model.pkl.gz'):
    _assert_has(path, weights(loop))
  assert find_checkpoint(str(run)) == f'{_folder(run, 4)}/model.pkl.gz'
  resumed = _loop(run)
  assert resumed.step == 4
  steps = [step for step, _ in resumed.history.get('eval', 'metrics/loss')]
  assert steps == [1, 2, 4]
  # The abandoned checkpoint is still there, and a loop may go back to it.
  abandoned = run / 'checkpoints/abandoned_1/step_00000010'
  _assert_has(abandoned, trained[1])
  resumed.load_checkpoint(str(abandoned))
  resumed.run(1)
  assert (resumed.step, _steps(run)) == (11, [11, 10])
  assert _aside(run, 2) == ['step_00000002', 'step_00000004']


def test_new_loop_elsewhere_draws_the_batches_after_the_checkpoint(
  run, trained, tmp_path
):
  loop = _loop(tmp_path / 'new')
  loop.load_checkpoint(_folder(run, 2))
  loop.run(8)
  for x, y in zip(weights(loop), trained[1], strict=True):
    np.testing.assert_array_equal(x, y)
  assert _steps(run) == [10, 8, 6, 2]


def test_a_step_that_is_trained_again_is_saved_again(tmp_path):
  loop = small_loop(tmp_path)
  loop.run(6)
  first = _copy(loop)
  loop.load_checkpoint(_folder(tmp_path, 4))
  loop.run(2)  # On other batches than before.
  second = _copy(loop)
  assert any((x != y).any() for x, y in zip(first, second, strict=True))
  _assert_has(tmp_path, second)
  _assert_has(tmp_path / 'checkpoints/abandoned_1/step_00000006', first)
  # A run that goes straight on sets nothing aside, nor one of no steps.
  loop.run(0)
  loop.run(1)
  assert small_loop(tmp_path).step == 7
  assert not (tmp_path / 'checkpoints/abandoned_2').exists()


def test_weights_that_were_changed_are_saved(tmp_path):
  loop = small_loop(tmp_path)
  loop.run(2)
  changed = jax.tree.map(lambda x: x + 1, loop.model.weights)
  loop.update_weights_and_state(changed)
  loop.run(0)
  _assert_has(tmp_path, jax.tree.leaves(changed))
  assert small_loop(tmp_path).step == 2


@pytest.mark.parametrize('step', [1, 3])
def test_run_from_a_checkpoint_elsewhere(tmp_path, step, capsys):
  elsewhere, run = tmp_path / 'elsewhere', tmp_path / 'run'
  other = small_loop(elsewhere, stream=batches(seed=1))
  other.run(step)
  loop = small_loop(run)
  loop.run(3)  # Saved at 1, 2 and 3.
  loop.load_checkpoint(str(elsewhere))
  loaded = _copy(loop)
  capsys.readouterr()
  loop._update = _is_killed
  with pytest.raises(KeyError):
    loop.run(2)
  assert _steps(run) == [step]
  _assert_has(run, loaded)
  err = capsys.readouterr().err
  assert f'going on from step {step}' in err
  for path in folders.stored(str(elsewhere)):
    assert path.path not in err  # That directory is as it was.
  aside = [*run.glob('checkpoints/*/model.pkl.gz')]
  aside += run.glob('checkpoints/abandoned_1/*/model.pkl.gz')
  assert {load_checkpoint(str(x))['step'] for x in aside} == {1, 2, 3}
  assert len(aside) == 4
  for path in run.glob('checkpoints/*'):
    assert path.name.startswith('step_') or str(path) in err


def test_a_copy_of_a_checkpoint_is_the_same_checkpoint(run, tmp_path):
  shutil.copytree(_folder(run, 8), tmp_path / 'copy')
  loop = _loop(run)
  loop.load_checkpoint(str(tmp_path / 'copy'))
  loop.run(1)
  assert _steps(run) == [9, 8, 6, 2]
  assert _aside(run) == ['step_00000010']


def test_killed_before_it_saves_a_run_goes_on_from_where_it_went_back(run):
  loop = _loop(run)
  loop.load_checkpoint(_folder(run, 2))
  loop._update = _is_killed
  with pytest.raises(KeyError):
    loop.run(5)
  assert _steps(run) == [2]
  _assert_has(run, weights(loop))
  assert _loop(run).step == 2


def test_killed_while_it_sets_aside_a_run_goes_on_from_the_newest(
  run, monkeypatch
):
  loop = _loop(run)
  loop.load_checkpoint(_folder(run, 2))
  move, moved = shutil.move, []

  def killed(source, target):
    if len(moved) == 2:
      raise KeyError('the process is killed')
    moved.append(move(source, target))

  monkeypatch.setattr(shutil, 'move', killed)
  with pytest.raises(KeyError):
    loop.run(1)
  assert _steps(run) == [10, 2]
  assert _loop(run).step == 10


def test_checkpoint_of_trax_is_set_aside(tmp_path):
  small_loop(tmp_path).run(3)
  trax = small_loop(tmp_path, loop_class=trax_training.Loop)
  trax.run(3)
  abandoned = _copy(trax)
  loop = small_loop(tmp_path)
  assert loop.step == 6
  loop.load_checkpoint(_folder(tmp_path, 2))
  loop.run(3)
  assert _steps(tmp_path) == [5, 4, 2]
  _assert_has(tmp_path, weights(loop))
  _assert_has(tmp_path / 'checkpoints/abandoned_1/model.pkl.gz', abandoned)
  assert small_loop(tmp_path).step == 5


def test_file_that_a_loop_writes_for_trax_is_its_own(tmp_path, capsys):
  loop = small_loop(tmp_path)
  loop.run(2)
  loop.save_checkpoint('model')
  loop.run(1)
  assert not capsys.readouterr().err
  assert (
    find_checkpoint(str(tmp_path)) == f'{_folder(tmp_path, 3)}/model.pkl.gz'
  )
  assert os.path.islink(tmp_path / 'model.pkl.gz')


def test_loop_that_another_has_overtaken_goes_on_by_itself(tmp_path):
  loop = small_loop(tmp_path)
  loop.run(2)
  before = _copy(loop)
  small_loop(tmp_path, keep_last=1).run(3)
  assert _steps(tmp_path) == [5]
  loop._update = _is_killed
  with pytest.raises(KeyError):
    loop.run(1)
  assert _steps(tmp_path) == [2]
  _assert_has(tmp_path, before)
  assert _aside(tmp_path) == ['step_00000005']


def test_configurations_of_later_steps_are_set_aside(run):
  for name in ('config.gin', 'config_2.gin', 'config_6.gin'):
    (run / name).touch()
  loop = _loop(run)
  loop.load_checkpoint(_folder(run, 2))
  loop.run(1)
  assert sorted(path.name for path in run.glob('*.gin')) == [
    'config.gin',
    'config_2.gin',
  ]
  assert 'config_6.gin' in _aside(run)


def test_going_back_resets_the_totals(tmp_path):
  kwargs = {'n_steps_per_checkpoint': 4}
  trax = small_loop(tmp_path / 'a', loop_class=trax_training.Loop, **kwargs)
  trax.run(4)
  loop = small_loop(tmp_path / 'b', **kwargs)
  loop.run(3)
  loop.load_checkpoint(str(tmp_path / 'a'))
  assert (loop.step, loop._progress.sums.n_steps) == (4, 0)


def test_warns_if_all_checkpoints_are_set_aside(run, capsys):
  for step in (2, 6, 8, 10):
    os.rename(_folder(run, step), run / f'checkpoints/unused_step_{step}')
  assert _loop(run).step == 0
  assert 'has no checkpoints but those set aside' in capsys.readouterr().err
