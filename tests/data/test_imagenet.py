"""ImageNet from small archives in the published formats."""

import hashlib
import io
import tarfile
import zipfile

import numpy as np
from PIL import Image
import pytest

from trax_hourglass.data import downloads, imagenet
from trax_hourglass.errors import UserError

N_IMAGES = {'train': 5, 'validation': 3}


def _array(split, size=32):
  rng = np.random.default_rng(len(split))
  shape = (N_IMAGES[split], size, size, 3)
  return rng.integers(256, size=shape, dtype=np.uint8)


def _png(array, mode='RGB'):
  content = io.BytesIO()
  Image.fromarray(array).convert(mode).save(content, 'png')
  return content.getvalue()


def tar(path, contents):
  """Writes a tar like those of the old set: PNG files in a folder."""
  folder = path.name.removesuffix('.tar')
  with tarfile.open(path, 'w') as archive:
    info = tarfile.TarInfo(folder)
    info.type = tarfile.DIRTYPE
    archive.addfile(info)
    for i, content in enumerate(contents):
      info = tarfile.TarInfo(f'{folder}/{i:07}.png')
      info.size = len(content)
      archive.addfile(info, io.BytesIO(content))


def npz_zip(path, batches):
  """Writes a zip like those of the new set; `batches` are named arrays."""
  with zipfile.ZipFile(path, 'w') as archive:
    for name, array in batches:
      planes = array.transpose(0, 3, 1, 2).reshape(len(array), -1)
      content = io.BytesIO()
      np.savez_compressed(
        content,
        data=planes,
        labels=np.arange(len(array)),
        mean=planes.mean(axis=0),
      )
      archive.writestr(f'{name}.npz', content.getvalue())


def write_archives(folder, monkeypatch, size=32):
  """Replaces the published archives of both sets by small ones in a folder."""
  for (version, archive_size, split), original in imagenet.SPLITS.items():
    if archive_size != size:
      continue
    paths = [folder / archive.name for archive in original.archives]
    array = _array(split, size)
    if version == 'old':
      tar(paths[0], map(_png, array))
    elif split == 'validation':
      npz_zip(paths[0], [('val_data', array)])
    else:
      # In numerical order, 10 after 2.
      names = [f'train_data_batch_{i}' for i in (10, 2, 1)]
      batches = [array[3:], array[1:3], array[:1]]
      named = list(zip(names, batches, strict=True))
      if len(paths) == 1:
        npz_zip(paths[0], named)
      else:
        npz_zip(paths[0], named[1:])
        npz_zip(paths[1], named[:1])
    _register(monkeypatch, (version, size, split), paths)


def _register(monkeypatch, key, paths):
  archives = tuple(
    downloads.Archive(
      path.as_uri(),
      path.stat().st_size,
      hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    for path in paths
  )
  split = imagenet.Split(archives, N_IMAGES[key[2]])
  monkeypatch.setitem(imagenet.SPLITS, key, split)


def test_published_archives():
  sizes = {
    archive.name: (archive.n_bytes, split.n_images)
    for split in imagenet.SPLITS.values()
    for archive in split.archives
  }
  assert sizes == {
    'train_32x32.tar': (4_113_018_880, 1_281_149),
    'valid_32x32.tar': (161_474_560, 49_999),
    'train_64x64.tar': (12_112_588_800, 1_281_149),
    'valid_64x64.tar': (477_255_680, 49_999),
    'Imagenet32_train_npz.zip': (3_580_435_279, 1_281_167),
    'Imagenet32_val_npz.zip': (139_697_668, 50_000),
    'Imagenet64_train_part1_npz.zip': (6_783_426_789, 1_281_167),
    'Imagenet64_train_part2_npz.zip': (6_780_506_068, 1_281_167),
    'Imagenet64_val_npz.zip': (529_522_927, 50_000),
  }


@pytest.mark.parametrize('version', ['old', 'new'])
@pytest.mark.parametrize('size', [32, 64])
def test_reads_the_archives(tmp_path, monkeypatch, size, version):
  write_archives(tmp_path, monkeypatch, size)
  load = {32: imagenet.imagenet32, 64: imagenet.imagenet64}[size]
  for _ in range(2):  # The second time from what the first one unpacked.
    images = load(tmp_path, version)
    for split in ('train', 'validation'):
      np.testing.assert_array_equal(images.split(split), _array(split, size))
    for path in tmp_path.iterdir():
      if path.suffix != '.npy':
        path.unlink()


def test_names_tell_the_sets_apart(tmp_path):
  assert imagenet.imagenet32(tmp_path).name == (
    'ImageNet32, old set (van den Oord et al. 2016)'
  )
  assert imagenet.imagenet64(tmp_path, 'new').name == (
    'ImageNet64, new set (box filtered, Chrabaszcz et al. 2017)'
  )


def test_a_split_needs_only_its_own_archive(tmp_path, monkeypatch):
  write_archives(tmp_path, monkeypatch)
  (tmp_path / 'train_32x32.tar').unlink()
  images = imagenet.imagenet32(tmp_path)
  assert len(images.split('validation')) == 3
  message = 'train split of ImageNet32, old set .*: got no train_32x32.tar in '
  with pytest.raises(UserError, match=message) as error:
    images.split('train')
  assert '\n' not in str(error.value)


def test_downloads_the_new_set(tmp_path, monkeypatch):
  (tmp_path / 'server').mkdir()
  write_archives(tmp_path / 'server', monkeypatch)
  images = imagenet.imagenet32(tmp_path, 'new', download=True)
  np.testing.assert_array_equal(
    images.split('validation'), _array('validation')
  )
  assert {path.name for path in tmp_path.iterdir()} == {
    'server',
    'Imagenet32_val_npz.zip',
    'imagenet32_new_validation.npy',
  }
  with pytest.raises(UserError, match='set data_dir, or download=True'):
    imagenet.imagenet64(tmp_path, 'new').split('train')


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'version': 'newer'}, "version: got 'newer', expected one of"),
    ({'download': True}, 'download: got True, expected False for the old set'),
  ],
)
def test_bad_arguments(tmp_path, changes, message):
  with pytest.raises(UserError, match=message):
    imagenet.imagenet32(tmp_path, **changes)


def _fails(folder, version='old'):
  images = imagenet.imagenet32(folder, version)
  with pytest.raises(UserError) as error:
    images.split('validation')
  assert '\n' not in str(error.value)
  assert not list(folder.glob('*.npy*'))
  return str(error.value)


def test_an_archive_that_is_not_the_published_one(tmp_path, monkeypatch):
  write_archives(tmp_path, monkeypatch)
  path = tmp_path / 'valid_32x32.tar'
  content = path.read_bytes()
  path.write_bytes(content[:-1])
  message = _fails(tmp_path)
  assert f'{path}: got {len(content) - 1:,} bytes, expected' in message
  path.write_bytes(content[:-1] + b'\1')
  assert 'got SHA-256' in _fails(tmp_path)


def _truncated(path, n_bytes=3000):
  tar(path, map(_png, _array('validation')))
  path.write_bytes(path.read_bytes()[:n_bytes])


def _damaged(path):
  content = bytearray(_png(_array('validation')[0]))
  content[100:200] = bytes(100)
  tar(path, [content])


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (_truncated, 'got a broken or truncated file'),
    # Between two files, and within the header of one.
    (lambda path: _truncated(path, 4608), 'got 1 images to put there'),
    (lambda path: _truncated(path, 4700), 'got 1 images to put there'),
    (_damaged, 'valid_32x32/0000000.png: cannot be decoded'),
    (
      lambda path: tar(path, map(_png, _array('validation', 16))),
      'valid_32x32/0000000.png: got an image of 16x16, expected 32x32',
    ),
    (
      lambda path: tar(path, [_png(x, 'L') for x in _array('validation')]),
      'valid_32x32/0000000.png: got a grey image, expected RGB',
    ),
    (
      lambda path: tar(path, map(_png, _array('validation')[1:])),
      'got 2 images to put there, expected 3',
    ),
  ],
)
def test_bad_tar(tmp_path, monkeypatch, make, message):
  path = tmp_path / 'valid_32x32.tar'
  make(path)
  _register(monkeypatch, ('old', 32, 'validation'), [path])
  assert message in _fails(tmp_path)


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (lambda path: path.write_bytes(b'PK'), 'got a broken or truncated file'),
    (
      lambda path: npz_zip(path, [('val_data', _array('validation', 16))]),
      'val_data.npz: got uint8 (3, 768), expected uint8 (n, 3072)',
    ),
    (
      lambda path: npz_zip(path, [('val_data', _array('validation') / 255)]),
      'val_data.npz: got float64 (3, 3072), expected uint8',
    ),
  ],
)
def test_bad_zip(tmp_path, monkeypatch, make, message):
  path = tmp_path / 'Imagenet32_val_npz.zip'
  make(path)
  _register(monkeypatch, ('new', 32, 'validation'), [path])
  assert message in _fails(tmp_path, 'new')
