"""Checkpoints at addresses: which files are copied, and that they are read."""

import os
import shutil

import pytest

from tests.training.small_loop import assert_same, small_loop
from trax_hourglass import UserError, load_checkpoint
from trax_hourglass.training import find_checkpoint
from trax_hourglass.training.checkpoints import configs, folders


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """The output directory of a run with checkpoints of steps 2 and 4."""
  folder = tmp_path_factory.mktemp('run')
  small_loop(folder, keep_last=2).run(4)
  (folder / 'config.gin').write_text('a = 1\n')
  return folder


@pytest.fixture
def there(run, bucket):
  """The run in a bucket, where there are no links."""
  bucket.put(f'{run}/', '/b/run/', recursive=True)
  return bucket


def _copied(path):
  """Returns the names of the files in the copy that a path is in."""
  root = path.partition('/memory/')[0]
  return {
    os.path.relpath(os.path.join(folder, name), f'{root}/memory/b/run')
    for folder, _, names in os.walk(root)
    for name in names
  }


def _names(run, step):
  folder = f'checkpoints/step_{step:08}'
  return {f'{folder}/{name}' for name in os.listdir(run / folder)}


@pytest.mark.parametrize(
  ('place', 'step'),
  [
    ('', 4),
    ('/', 4),
    ('/checkpoints/step_00000002', 2),
    ('/checkpoints/step_00000002/model.pkl.gz', 2),
  ],
)
def test_one_checkpoint_is_copied(run, there, place, step):
  del there
  path = find_checkpoint(f'memory://b/run{place}')
  name = f'checkpoints/step_{step:08}/model.pkl.gz'
  assert path.endswith(f'/memory/b/run/{name}')
  assert _copied(path) == {*_names(run, step), 'config.gin'}
  assert load_checkpoint(f'memory://b/run{place}')['step'] == step


def test_a_loop_resumes_from_an_address(run, there, tmp_path):
  del there
  loop = small_loop(tmp_path)
  loop.load_checkpoint('memory://b/run')
  assert_same(loop, small_loop(run, keep_last=2))


def test_a_checkpoint_that_is_not_all_there_is_passed_over(there):
  there.rm(f'/b/run/checkpoints/step_00000004/{folders.MANIFEST}')
  assert '/step_00000002/' in find_checkpoint('memory://b/run')


def test_a_damaged_checkpoint_is_refused(there):
  path = '/b/run/checkpoints/step_00000004/model.weights.npy.gz'
  there.pipe(path, there.cat(path)[:-1])
  with pytest.raises(UserError, match=r'damaged: step 4 .*got .* bytes'):
    find_checkpoint('memory://b/run')


def test_a_checkpoint_that_is_written_is_read(there, tmp_path):
  """A run that goes on in the bucket is copied again."""
  assert load_checkpoint('memory://b/run')['step'] == 4
  loop = small_loop(tmp_path)
  loop.load_checkpoint('memory://b/run')
  loop.run(2)
  there.put(f'{tmp_path}/', '/b/run/', recursive=True)
  assert load_checkpoint('memory://b/run')['step'] == 6


@pytest.mark.parametrize('place', ['', '/model.pkl.gz'])
def test_a_checkpoint_of_trax_is_copied_with_its_arrays(
  run, bucket, tmp_path, place
):
  step = run / 'checkpoints/step_00000004'
  for name in os.listdir(step):
    if name.startswith('model.'):
      shutil.copy(step / name, tmp_path)
  names = {*os.listdir(tmp_path), 'config.gin', 'config_3.gin'}
  for name in ('config.gin', 'config_3.gin', 'model_2.pkl.gz', 'events'):
    (tmp_path / name).write_text('b = 1\n')
  bucket.put(f'{tmp_path}/', '/b/run/', recursive=True)
  path = find_checkpoint(f'memory://b/run{place}')
  assert _copied(path) == names
  assert len(load_checkpoint(f'memory://b/run{place}')['flat_weights']) == 3
  assert configs.find(path).endswith('/memory/b/run/config_3.gin')


@pytest.mark.parametrize(
  ('place', 'mistake'),
  [
    ('none', 'checkpoint: memory://none does not exist; give a '),
    ('b/run/eval', r'checkpoint: no model.pkl.gz in memory://b/run/eval; give'),
    ('b/run/config.gin', 'config.gin: cannot be read as a checkpoint'),
  ],
)
def test_mistakes(there, place, mistake):
  del there
  with pytest.raises(UserError, match=mistake):
    load_checkpoint(f'memory://{place}')


def test_a_loop_writes_to_disk():
  with pytest.raises(UserError, match='output_dir: got memory://b/run, expect'):
    small_loop('memory://b/run')
