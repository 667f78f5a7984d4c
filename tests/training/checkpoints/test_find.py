"""Tests of finding and loading checkpoints."""

import gzip
import os
import pickle

import numpy as np
import pytest
from trax import layers as tl
from trax import shapes

from trax_hourglass.errors import UserError
from trax_hourglass.training import find_checkpoint, load_weights
from trax_hourglass.training.checkpoints.find import find_run

_TOKENS = shapes.ShapeDtype((2, 5), np.int32)


def _model(d_model=3):
  return tl.Serial(tl.Embedding(7, d_model), tl.Dense(7))


@pytest.fixture(params=['weights inside', 'weights beside'])
def checkpoint(request, tmp_path):
  """A model and its checkpoint in each of Trax's formats."""
  model = _model()
  model.init(_TOKENS)
  path = tmp_path / 'model.pkl.gz'
  model.save_to_file(str(path), input_signature=_TOKENS)
  if request.param == 'weights inside':
    content = pickle.loads(gzip.decompress(path.read_bytes()))
    flat, _ = tl.flatten_weights_and_state(model.weights, model.state)
    content['flat_weights'] = [np.asarray(w) for w in flat]
    path.write_bytes(gzip.compress(pickle.dumps(content)))
    (tmp_path / 'model.weights.npy.gz').unlink(missing_ok=True)
  return model, str(path)


def test_loads_the_weights(checkpoint):
  saved, path = checkpoint
  model = _model()
  load_weights(model, path, _TOKENS)
  tokens = np.arange(6, dtype=np.int32)[np.newaxis]
  np.testing.assert_array_equal(model(tokens), saved(tokens))


def test_refuses_another_shape(checkpoint):
  _, path = checkpoint
  with pytest.raises(
    UserError, match=r'weight array 0 has shape \(7, 3\), .* \(7, 5\)'
  ):
    load_weights(_model(d_model=5), path, _TOKENS)


@pytest.mark.parametrize('n_layers', [1, 3])
def test_refuses_another_number_of_weights(checkpoint, n_layers):
  _, path = checkpoint
  model = tl.Serial(
    tl.Embedding(7, 3), [tl.Dense(7) for _ in range(n_layers - 1)]
  )
  expected = 2 * n_layers - 1
  with pytest.raises(
    UserError, match=f"got 3 weight arrays, expected the model's {expected}"
  ):
    load_weights(model, path, _TOKENS)


@pytest.mark.parametrize('keep', [0, 10, -30])
def test_refuses_truncated_file(checkpoint, keep, tmp_path):
  _, path = checkpoint
  beside = tmp_path / 'model.weights.npy.gz'
  damaged = beside if beside.exists() else tmp_path / 'model.pkl.gz'
  damaged.write_bytes(damaged.read_bytes()[:keep])
  with pytest.raises(UserError):
    load_weights(_model(), path, _TOKENS)


@pytest.mark.parametrize('content', [b'', b'text', gzip.compress(b'text')])
def test_refuses_what_is_no_checkpoint(tmp_path, content):
  path = tmp_path / 'model.pkl.gz'
  path.write_bytes(content)
  with pytest.raises(UserError, match='cannot be read as a checkpoint'):
    load_weights(_model(), str(path), _TOKENS)


def test_refuses_another_pickle(tmp_path):
  path = tmp_path / 'model.pkl.gz'
  path.write_bytes(gzip.compress(pickle.dumps([1, 2])))
  with pytest.raises(UserError, match='is not a checkpoint of Trax'):
    load_weights(_model(), str(path), _TOKENS)


def test_finds_the_newest_in_a_directory(tmp_path):
  path = tmp_path / 'model.pkl.gz'
  path.touch()
  assert find_checkpoint(str(tmp_path)) == str(path)
  assert find_checkpoint(str(path)) == str(path)


def test_finds_nothing(tmp_path):
  with pytest.raises(UserError, match=r'no model.pkl.gz in'):
    find_checkpoint(str(tmp_path))
  with pytest.raises(UserError, match='does not exist'):
    find_checkpoint(str(tmp_path / 'nothing.pkl.gz'))


def test_finds_the_newest_of_a_directory(tmp_path):
  for age, name in enumerate(('model_2', 'model', 'model_1')):
    path = tmp_path / f'{name}.pkl.gz'
    path.touch()
    os.utime(path, (1000 - age, 1000 - age))
  found = find_checkpoint(str(tmp_path))
  assert found == str(tmp_path / 'model_2.pkl.gz')


@pytest.mark.parametrize(
  'folder, run',
  [
    ('', ''),
    ('checkpoints/step_00000002', ''),
    ('checkpoints/unused_step_00000002_2', ''),
    ('checkpoints/abandoned_1', ''),
    ('checkpoints/abandoned_1/step_00000002', ''),
    ('copies/step_00000002', 'copies/step_00000002'),
    # A run in a folder that happens to be called so.
    ('checkpoints/big', 'checkpoints/big'),
    ('checkpoints/big/checkpoints/step_00000002', 'checkpoints/big'),
  ],
)
def test_finds_the_run_of_a_checkpoint(tmp_path, folder, run):
  path = tmp_path / folder / 'model.pkl.gz'
  assert find_run(str(path)) == os.path.normpath(tmp_path / run)
