import os

import numpy as np
from PIL import Image
import pytest

from trax_hourglass.data import image_files, images
from trax_hourglass.errors import UserError


def _array(n, height=2, width=3, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(256, size=(n, height, width, 3), dtype=np.uint8)


def _images(n_train=7, n_validation=5):
  return images.Images.from_arrays(
    'numbers', train=_array(n_train), validation=_array(n_validation, seed=1)
  )


def _save(path, array, mode=None):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(array).convert(mode or 'RGB').save(path)
  return path


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
    return _array(1)

  lazy = images.Images('lazy', {'train': load})
  assert not loaded
  assert len(lazy.split('train')) == 1


@pytest.mark.parametrize('array', [_array(1)[..., 0], _array(1) / 255])
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
  expected = np.sort(_array(7).reshape(7, -1), axis=0)
  passes = rows.reshape(6, 7, -1)
  for one in passes:
    np.testing.assert_array_equal(np.sort(one, axis=0), expected)
  assert not np.array_equal(passes[0], passes[1])


def test_with_mirror_a_pass_also_has_each_image_turned_left_to_right():
  """3 images in batches of 4: passes end inside batches."""
  inputs = images.image_inputs(_images(3), 4, seed=5, mirror=True)
  stream = inputs.train_stream(1)
  rows = np.concatenate([tokens for tokens, _, _ in _take(stream, 3)])
  array = _array(3)
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
  expected = _array(5, seed=1).reshape(5, -1)
  for i, (tokens, _, weights) in enumerate(batches):
    start = 2 * (i % 2)
    np.testing.assert_array_equal(tokens, expected[start : start + 2])
    assert weights.all()


def test_scoring_batches_weigh_each_image_once():
  batches = list(images.scoring_batches(_array(5), 2))
  assert [weights[:, 0].tolist() for _, _, weights in batches] == [
    [1, 1],
    [1, 1],
    [1, 0],
  ]
  tokens, weights = (np.concatenate([b[i] for b in batches]) for i in (0, 2))
  assert tokens.shape == weights.shape == (6, 18)
  np.testing.assert_array_equal(
    tokens[weights[:, 0] > 0], _array(5).reshape(5, 18)
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
          'mixed', train=_array(1), validation=_array(1, 3, 2)
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
    for i, array in enumerate(_array(3, seed=seed)):
      _save(tmp_path / 'set' / split / 'below' / f'{i}.png', array)
  folder = images.image_folder(tmp_path / 'set')
  assert folder.name == 'set'
  assert set(folder.loaders) == {'train', 'validation'}
  for split, seed in (('train', 0), ('validation', 1)):
    np.testing.assert_array_equal(folder.split(split), _array(3, seed=seed))


def test_folder_without_splits(tmp_path):
  for i, array in enumerate(_array(40)):
    _save(tmp_path / f'{i:02}.PNG', array)
  (tmp_path / 'README').touch()
  (tmp_path / '._00.png').touch()
  folder = images.image_folder(tmp_path)
  parts = [folder.split(name) for name in ('train', 'validation', 'test')]
  assert [len(part) for part in parts] == [36, 2, 2]
  np.testing.assert_array_equal(np.concatenate(parts), _array(40))


def test_jpeg(tmp_path):
  smooth = np.full((8, 8, 3), [200, 100, 50], np.uint8)
  for i in range(20):
    _save(tmp_path / f'{i:02}.jpeg', smooth)
  train = images.image_folder(tmp_path).split('train')
  assert np.abs(train[0].astype(int) - smooth).max() < 5


def _truncated(path):
  content = _save(path, _array(1, 9, 9)[0]).read_bytes()
  path.write_bytes(content[:-40])


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (lambda path: path.parent.rmdir(), 'got no image'),
    (lambda path: None, 'got no image, expected a folder with PNG or JPEG'),
    (lambda path: path.touch(), 'cannot be decoded'),
    (lambda path: path.write_text('text'), 'cannot be decoded'),
    (_truncated, 'cannot be decoded'),
    (lambda path: _save(path, _array(1)[0], 'L'), 'got a grey image'),
    (lambda path: _save(path, _array(1)[0], 'RGBA'), 'got a RGBA image'),
    (lambda path: _save(path, _array(1)[0], 'P'), 'got a P image'),
  ],
)
def test_bad_folder(tmp_path, make, message):
  path = tmp_path / 'set' / 'a.png'
  path.parent.mkdir()
  make(path)
  with pytest.raises(UserError, match=message) as error:
    images.image_folder(path.parent)
  assert str(path if path.exists() else path.parent) in str(error.value)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  ('orientation', 'upright'),
  [
    (1, lambda x: x),
    (2, np.fliplr),
    (3, lambda x: np.rot90(x, 2)),
    (6, lambda x: np.rot90(x, -1)),  # A quarter clockwise.
    (8, np.rot90),
  ],
)
def test_photographs_are_upright(tmp_path, orientation, upright):
  array = _array(1)[0]
  exif = Image.Exif()
  exif[274] = orientation
  for name in ('a.png', 'b.webp'):
    Image.fromarray(array).save(tmp_path / name, exif=exif, lossless=True)
  found = image_files.read_folder(tmp_path)
  np.testing.assert_array_equal(found, [upright(array)] * 2)


@pytest.mark.parametrize(
  ('name', 'form', 'tolerance'),
  [
    ('a.webp', 'WEBP', 0),
    ('a.BMP', 'BMP', 0),
    ('a.tif', 'TIFF', 0),
    ('a.ppm', 'PPM', 0),
    ('a', 'PNG', 0),
    ('a.dat', 'BMP', 0),
    ('a.jpe', 'JPEG', 3),
    ('a.jfif', 'JPEG', 3),
  ],
)
def test_formats_that_pillow_reads(tmp_path, capsys, name, form, tolerance):
  array = np.full((16, 16, 3), [200, 90, 10], np.uint8)
  Image.fromarray(array).save(tmp_path / name, form, lossless=True)
  found = image_files.read_folder(tmp_path)
  np.testing.assert_allclose(found.astype(int), [array], atol=tolerance)
  assert not capsys.readouterr().err


def test_skipped_files_are_counted_and_named(tmp_path, capsys):
  _save(tmp_path / 'a.png', _array(1)[0])
  for name in ('b.txt', 'below/c.csv', 'd.png.part', 'e', '.hidden'):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text('P6 is how a PPM begins')
  (tmp_path / 'gone').symlink_to(tmp_path / 'nowhere')
  assert len(image_files.read_folder(str(tmp_path))) == 1
  assert capsys.readouterr().err == (
    f'warning: {tmp_path}: skipped 5 items that are not read as images: b.txt, '
    'below/c.csv, d.png.part and 2 more\n'
  )


def test_items_beside_the_splits_are_named(tmp_path, capsys):
  for name in ('train/a.png', 'validation/b.png', 'val/c.png', 'd.png'):
    _save(tmp_path / name, _array(1)[0])
  (tmp_path / 'test').touch()
  assert list(images.image_folder(tmp_path).loaders) == ['train', 'validation']
  assert capsys.readouterr().err == (
    f'warning: {tmp_path}: skipped 3 items that are not read as images: '
    'd.png, test, '
    'val\n'
  )


def test_links_to_folders_are_followed_once(tmp_path):
  """Loops of links end, and links to folders above are not followed."""
  arrays = _array(4)
  folder, other = tmp_path / 'set', tmp_path / 'other'
  for path, array in zip(
    (folder / 'a.png', folder / 'b/c.png', other / 'd.png', tmp_path / 'e.png'),
    arrays,
    strict=True,
  ):
    _save(path, array)
  for link, target in {
    folder / 'x': other,
    folder / 'y': other,
    folder / 'again': folder / 'b',
    folder / 'b/up': folder,
    folder / 'above': tmp_path,
    other / 'loop': other,
    other / 'back': folder,
  }.items():
    link.symlink_to(target, target_is_directory=True)
  found = image_files.read_folder(str(folder))
  np.testing.assert_array_equal(found, arrays[:3])
  (tmp_path / 'linked').symlink_to(folder, target_is_directory=True)
  found = image_files.read_folder(str(tmp_path / 'linked'))
  np.testing.assert_array_equal(found, arrays[:3])


def test_a_folder_of_images_is_on_disk():
  with pytest.raises(UserError, match='path: got gs://a/b, expected a path on'):
    images.image_folder('gs://a/b')


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
  _save(tmp_path / 'a.png', _array(1)[0])
  (tmp_path / 'b').mkdir()
  scan = os.scandir

  def refuse(path):
    if str(path).endswith('b'):
      raise PermissionError(13, 'Permission denied', path)
    return scan(path)

  monkeypatch.setattr(os, 'scandir', refuse)
  with pytest.raises(UserError, match='cannot be read .Permission denied'):
    image_files.read_folder(str(tmp_path))


def test_mixed_sizes(tmp_path):
  _save(tmp_path / 'a.png', _array(1)[0])
  path = _save(tmp_path / 'b.png', _array(1, 2, 4)[0])
  with pytest.raises(
    UserError, match=f'{path}: got an image of 2x4, expected 2x3'
  ):
    images.image_folder(tmp_path)


def test_memory_mapped_array_is_written_once(tmp_path):
  path = str(tmp_path / 'made' / 'images.npy')
  expected = _array(5)
  for source in (expected, iter(())):
    array = image_files.memory_mapped(path, expected.shape, source)
    assert isinstance(array, np.memmap)
    np.testing.assert_array_equal(array, expected)
  np.testing.assert_array_equal(array[[3, 1]], expected[[3, 1]])


def test_memory_mapped_array_is_all_or_nothing(tmp_path):
  path = str(tmp_path / 'images.npy')
  with pytest.raises(UserError, match='got 4 images to put there, expected 5'):
    image_files.memory_mapped(path, (5, 2, 3, 3), _array(4))
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('content', [b'', b'text', None])
def test_damaged_memory_mapped_array(tmp_path, content):
  path = tmp_path / 'images.npy'
  if content is None:
    np.save(path, _array(4))
  else:
    path.write_bytes(content)
  with pytest.raises(UserError, match='got a damaged file, .* delete it'):
    image_files.memory_mapped(str(path), (5, 2, 3, 3), ())
