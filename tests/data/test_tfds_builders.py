"""Data sets that TensorFlow Datasets has prepared, and our builders for it."""

import hashlib
import itertools
import zipfile

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from trax import data as trax_data
from trax.data import tf_inputs

from tests.data import test_imagenet
from trax_hourglass.data import enwik8, prepared, tfds_builders
from trax_hourglass.errors import UserError

CONTENT = np.random.default_rng(0).integers(251, size=200_000, dtype=np.uint8)


@pytest.fixture(scope='module')
def monkeypatch_module():
  with pytest.MonkeyPatch.context() as monkeypatch:
    yield monkeypatch


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory, monkeypatch_module):
  """Prepares small archives in place of the published ones."""
  folder = tmp_path_factory.mktemp('tfds')
  archives = folder / 'archives'
  archives.mkdir()
  test_imagenet.write_archives(archives, monkeypatch_module)
  with zipfile.ZipFile(archives / 'enwik8.zip', 'w') as archive:
    archive.writestr('enwik8', CONTENT.tobytes())
  monkeypatch_module.setattr(
    enwik8,
    'ARCHIVE',
    enwik8.Archive(
      (folder / 'nowhere').as_uri(),
      'enwik8',
      len(CONTENT),
      hashlib.md5(CONTENT.tobytes()).hexdigest(),
    ),
  )
  for name in ('enwik8/l2048', 'imagenet_archives/old_32x32'):
    builder = tfds.builder(name, data_dir=folder)
    builder.download_and_prepare(
      download_dir=archives,
      download_config=tfds.download.DownloadConfig(manual_dir=archives),
    )
  return str(folder)


def _examples(builder_name, data_dir, n, **kwargs):
  source = trax_data.TFDS(builder_name, data_dir=data_dir, **kwargs)
  return list(itertools.islice(source(), n))


def test_names():
  assert tfds_builders.Enwik8.name == 'enwik8'
  assert [c.name for c in tfds_builders.ImagenetArchives.BUILDER_CONFIGS] == [
    'old_32x32',
    'old_64x64',
    'new_32x32',
    'new_64x64',
  ]


def test_trax_reads_enwik8(data_dir):
  windows = _examples(
    'enwik8/l2048',
    data_dir,
    348,
    keys=('targets', 'targets'),
    shuffle_train=False,
  )
  starts = sorted(
    CONTENT.tobytes().index(x.astype(np.uint8).tobytes()) for x, _ in windows
  )
  # (180,000 - 2,048) // 512 + 1 = 348 windows.
  assert starts == list(range(0, 348 * 512, 512))
  inputs, targets = windows[0]
  assert inputs.dtype == np.int32
  np.testing.assert_array_equal(inputs, targets)


def test_the_data_streams_of_trax_read_enwik8(data_dir):
  """Bound as in the authors' gin file, except for the name of the set."""
  _, eval_stream = tf_inputs.data_streams(
    'enwik8/l2048', data_dir, input_name='targets', shuffle_buffer_size=1
  )
  inputs, targets = next(eval_stream())
  np.testing.assert_array_equal(inputs, targets)
  assert inputs.astype(np.uint8).tobytes() in CONTENT[180_000:190_000].tobytes()


def test_a_pipeline_for_downsampled_imagenet_reads_the_archives(data_dir):
  rows = _examples(
    'imagenet_archives/old_32x32',
    data_dir,
    5,
    tfds_preprocess_fn=lambda dataset: (
      tf_inputs.downsampled_imagenet_flatten_bare_preprocess(dataset, True)
    ),
    keys=('image', 'image'),
  )
  rows = np.stack([inputs for inputs, _ in rows])
  expected = test_imagenet._array('train').reshape(5, -1)
  np.testing.assert_array_equal(
    rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)]
  )


def _prepare(name, data_dir, splits):
  """Writes a set like TFDS does, with a number in a corner of each image."""

  def dataset(n):
    images = np.zeros((n, 32, 32, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(n)
    return tf.data.Dataset.from_tensor_slices({'image': images})

  name, _, config = name.partition('/')
  code = tfds.builder(f'{name}/{config}'.rstrip('/'))
  tfds.dataset_builders.store_as_tfds_dataset(
    name=name,
    config=config or None,
    version=str(code.version),
    features=tfds.features.FeaturesDict(
      {'image': tfds.features.Image(shape=(32, 32, 3))}
    ),
    split_datasets={split: dataset(n) for split, n in splits.items()},
    data_dir=data_dir,
    disable_shuffling=True,
  )


@pytest.mark.parametrize(
  ('load', 'tfds_name', 'splits', 'name'),
  [
    (prepared.cifar10, 'cifar10', {'train': 5, 'test': 3}, 'CIFAR-10'),
    (
      prepared.downsampled_imagenet,
      'downsampled_imagenet/32x32',
      {'train': 5, 'validation': 3},
      'ImageNet32, old set (van den Oord et al. 2016)',
    ),
  ],
)
def test_prepared_images(tmp_path, load, tfds_name, splits, name):
  folders = {'data_dir': tmp_path / 'tfds', 'cache_dir': tmp_path / 'cache'}
  images = load(**folders)
  assert images.name == name
  with pytest.raises(UserError, match=f'run `tfds build {tfds_name}') as error:
    images.split('train')
  assert '\n' not in str(error.value)
  _prepare(tfds_name, folders['data_dir'], splits)
  for split, n in splits.items():
    array = load(**folders).split(split)
    assert array.shape == (n, 32, 32, 3)
    assert sorted(array[:, 0, 0, 0]) == list(range(n))
  assert len(list((tmp_path / 'cache').iterdir())) == 2


def test_damaged_records_are_named(tmp_path):
  folders = {'data_dir': tmp_path / 'tfds', 'cache_dir': tmp_path / 'cache'}
  _prepare('cifar10', folders['data_dir'], {'train': 5, 'test': 3})
  [path] = folders['data_dir'].rglob('*train.tfrecord*')
  content = bytearray(path.read_bytes())
  content[100] ^= 1
  path.write_bytes(content)
  images = prepared.cifar10(**folders)
  message = f'^{path.parent}: cannot be read .corrupted record at 12., expected'
  with pytest.raises(UserError, match=message) as error:
    images.split('train')
  assert '\n' not in str(error.value)
  assert not folders['cache_dir'].exists()
  assert len(images.split('test')) == 3


def test_no_such_size():
  with pytest.raises(UserError, match='size: got 16, expected 32 or 64'):
    prepared.downsampled_imagenet(16)
