"""Sets of images, their splits, and the inputs that train on them."""

import numpy as np
import pytest

from tests.data.pictures import pixels, save
from trax_hourglass.data import images
from trax_hourglass.errors import UserError


def _images(n_train=7, n_validation=5):
  return images.Images.from_arrays(
    'numbers', train=pixels(n_train), validation=pixels(n_validation, seed=1)
  )


def test_photos32_are_complete():
  photos = images.photos32()
  for split, n in (('train', 579), ('validation', 96)):
    assert photos.split(split).shape == (n, 32, 32, 3)
    assert photos.split(split).dtype == np.uint8
    assert 50 < photos.split(split).mean() < 200


def test_patches_tile_the_photographs():
  photos = images.photos32().split('validation')
  patches = images.photo_patches(16).split('validation')
  assert patches.shape == (4 * len(photos), 16, 16, 3)
  np.testing.assert_array_equal(patches[4], photos[1, :16, :16])
  np.testing.assert_array_equal(patches[5], photos[1, :16, 16:])
  np.testing.assert_array_equal(patches[6], photos[1, 16:, :16])


def test_patch_size_must_divide_32():
  with pytest.raises(UserError, match='size: got 12, expected a divisor of 32'):
    images.photo_patches(12)


def test_no_such_split():
  with pytest.raises(UserError, match="got 'test', expected one of .'train',"):
    _images().split('test')


def test_empty_split():
  with pytest.raises(UserError, match='validation split of numbers: got 0'):
    _images(n_validation=0).split('validation')


def test_splits_are_loaded_lazily():
  loaded = []

  def load():
    loaded.append(True)
    return pixels(1)

  lazy = images.Images('lazy', {'train': load})
  assert not loaded
  assert len(lazy.split('train')) == 1


@pytest.mark.parametrize('array', [pixels(1)[..., 0], pixels(1) / 255])
def test_other_arrays_are_refused(array):
  with pytest.raises(UserError, match='expected uint8 .n, height, width, 3'):
    images.Images.from_arrays('numbers', train=array)


def _take(stream, n):
  return [next(stream) for _ in range(n)]


def test_tokens_go_row_by_row_with_channels_last():
  array = np.arange(18, dtype=np.uint8).reshape(1, 2, 3, 3)
  inputs = images.image_inputs(
    images.Images.from_arrays('one', train=array, validation=array), 1
  )
  for stream in (inputs.train_stream(1), inputs.eval_stream(1)):
    tokens, targets, weights = next(stream)
    np.testing.assert_array_equal(tokens, [np.arange(18)])
    np.testing.assert_array_equal(targets, tokens)
    np.testing.assert_array_equal(weights, np.ones((1, 18)))
    assert (tokens.dtype, weights.dtype) == (np.int32, np.float32)


def test_each_pass_of_the_training_stream_has_each_image_once():
  """7 images in batches of 3: passes end inside batches."""
  stream = images.image_inputs(_images(), 3, seed=5).train_stream(1)
  rows = np.concatenate([tokens for tokens, _, _ in _take(stream, 14)])
  expected = np.sort(pixels(7).reshape(7, -1), axis=0)
  passes = rows.reshape(6, 7, -1)
  for one in passes:
    np.testing.assert_array_equal(np.sort(one, axis=0), expected)
  assert not np.array_equal(passes[0], passes[1])


def test_with_mirror_a_pass_also_has_each_image_turned_left_to_right():
  """3 images in batches of 4: passes end inside batches."""
  inputs = images.image_inputs(_images(3), 4, seed=5, mirror=True)
  stream = inputs.train_stream(1)
  rows = np.concatenate([tokens for tokens, _, _ in _take(stream, 3)])
  array = pixels(3)
  expected = np.concatenate([array, array[:, :, [2, 1, 0]]]).reshape(6, -1)
  for one in rows.reshape(2, 6, -1):
    assert sorted(one.tolist()) == sorted(expected.tolist())
  np.testing.assert_array_equal(array, _images(3).split('train'))


def test_seed_determines_the_order():
  def first(seed):
    stream = images.image_inputs(_images(), 7, seed=seed).train_stream(1)
    return next(stream)[0]

  np.testing.assert_array_equal(first(1), first(1))
  assert not np.array_equal(first(1), first(2))


def test_the_evaluation_stream_repeats_the_first_batches():
  inputs = images.image_inputs(
    _images(), 7, eval_batch_size=2, eval_batches=2, eval_split='validation'
  )
  batches = _take(inputs.eval_stream(1), 4)
  expected = pixels(5, seed=1).reshape(5, -1)
  for i, (tokens, _, weights) in enumerate(batches):
    start = 2 * (i % 2)
    np.testing.assert_array_equal(tokens, expected[start : start + 2])
    assert weights.all()


def test_scoring_batches_weigh_each_image_once():
  batches = list(images.scoring_batches(pixels(5), 2))
  assert [weights[:, 0].tolist() for _, _, weights in batches] == [
    [1, 1],
    [1, 1],
    [1, 0],
  ]
  tokens, weights = (np.concatenate([b[i] for b in batches]) for i in (0, 2))
  assert tokens.shape == weights.shape == (6, 18)
  np.testing.assert_array_equal(
    tokens[weights[:, 0] > 0], pixels(5).reshape(5, 18)
  )


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'images': 'photos'}, "images: got 'photos', expected an Images"),
    ({'batch_size': 0}, 'batch_size: got 0'),
    ({'eval_batch_size': 1.5}, 'eval_batch_size: got 1.5'),
    ({'eval_batches': 0}, 'eval_batches: got 0'),
    ({'eval_split': 'test'}, "split: got 'test'"),
    ({'seed': -1}, 'seed: got -1'),
    ({'mirror': 2}, 'mirror: got 2, expected True or False'),
    (
      {
        'images': images.Images.from_arrays(
          'mixed', train=pixels(1), validation=pixels(1, 3, 2)
        )
      },
      r'validation split of mixed: got images of \(3, 2, 3\), expected \(2, 3',
    ),
  ],
)
def test_bad_arguments(changes, message):
  with pytest.raises(UserError, match=message) as error:
    images.image_inputs(**{'images': _images(), 'batch_size': 2} | changes)
  assert '\n' not in str(error.value)


def test_batches_must_be_shared_out_evenly():
  inputs = images.image_inputs(_images(), 2, eval_batch_size=3)
  with pytest.raises(UserError, match='^batch_size: got 2, .* 3 devices'):
    inputs.train_stream(3)
  with pytest.raises(UserError, match='eval_batch_size: got 3, .* 2 devices'):
    inputs.eval_stream(2)


def test_folder_with_splits(tmp_path):
  for split, seed in (('train', 0), ('validation', 1)):
    for i, array in enumerate(pixels(3, seed=seed)):
      save(tmp_path / 'set' / split / 'below' / f'{i}.png', array)
  folder = images.image_folder(tmp_path / 'set')
  assert folder.name == 'set'
  assert set(folder.loaders) == {'train', 'validation'}
  for split, seed in (('train', 0), ('validation', 1)):
    np.testing.assert_array_equal(folder.split(split), pixels(3, seed=seed))


def test_folder_without_splits(tmp_path):
  for i, array in enumerate(pixels(40)):
    save(tmp_path / f'{i:02}.PNG', array)
  (tmp_path / 'README').touch()
  (tmp_path / '._00.png').touch()
  folder = images.image_folder(tmp_path)
  parts = [folder.split(name) for name in ('train', 'validation', 'test')]
  assert [len(part) for part in parts] == [36, 2, 2]
  np.testing.assert_array_equal(np.concatenate(parts), pixels(40))


def test_items_beside_the_splits_are_named(tmp_path, capsys):
  for name in ('train/a.png', 'validation/b.png', 'val/c.png', 'd.png'):
    save(tmp_path / name, pixels(1)[0])
  (tmp_path / 'test').touch()
  assert list(images.image_folder(tmp_path).loaders) == ['train', 'validation']
  assert capsys.readouterr().err == (
    f'warning: {tmp_path}: skipped 3 items that are not read as images: '
    'd.png, test, '
    'val\n'
  )


def test_a_folder_of_images_is_on_disk():
  with pytest.raises(UserError, match='path: got gs://a/b, expected a path on'):
    images.image_folder('gs://a/b')
