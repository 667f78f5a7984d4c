"""Builders of enwik8 and ImageNet for TensorFlow Datasets (TFDS).

Importing this module registers them. Once prepared, `enwik8/l2048` and
`imagenet_archives/old_32x32` are read by `trax.data.TFDS` and Trax's
`data_streams`.

  import tensorflow_datasets as tfds
  from trax_hourglass.data import tfds_builders

  builder = tfds.builder('imagenet_archives/old_32x32')
  builder.download_and_prepare(
    download_config=tfds.download.DownloadConfig(manual_dir='archives')
  )
"""

from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from trax_hourglass.data import enwik8, imagenet

_STRIDES = 4


class Enwik8(tfds.core.GeneratorBasedBuilder):
  """enwik8 in windows: `enwik8/l2048` and `enwik8/l4096`.

  Windows of the train split start at every quarter of their length, as the
  authors' do; the other splits are cut into chunks. The feature is called
  `targets`, as in Tensor2Tensor's enwik8 problems. The rest at the end of a
  split is in no window; `trax_hourglass.evaluate` scores all bytes. A file
  `enwik8.zip` in the folder of downloads is used.
  """

  VERSION = tfds.core.Version('1.0.0')
  BUILDER_CONFIGS = (
    tfds.core.BuilderConfig(name='l2048', description='2048 bytes'),
    tfds.core.BuilderConfig(name='l4096', description='4096 bytes'),
  )

  @property
  def _length(self) -> int:
    return int(self.builder_config.name.removeprefix('l'))

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description='The first 10^8 bytes of a dump of the English Wikipedia.',
      homepage='http://mattmahoney.net/dc/textdata.html',
      features=tfds.features.FeaturesDict(
        {
          'targets': tfds.features.Tensor(
            shape=(self._length,), dtype=np.int32
          ),
        }
      ),
      supervised_keys=('targets', 'targets'),
    )

  def _split_generators(self, dl_manager):
    text = enwik8.enwik8(data_dir=dl_manager.download_dir, download=True)
    return {
      split: self._generate_examples(
        text.split(split),
        self._length // _STRIDES if split == 'train' else self._length,
      )
      for split in ('train', 'validation', 'test')
    }

  def _generate_examples(
    self, text: np.ndarray, stride: int
  ) -> Iterator[tuple[int, dict]]:
    for start in range(0, len(text) - self._length + 1, stride):
      window = text[start : start + self._length]
      yield start, {'targets': window.astype(np.int32)}


class ImagenetArchives(tfds.core.GeneratorBasedBuilder):
  """ImageNet from its published archives, old or new set, 32x32 or 64x64.

  The configurations are `old_32x32`, `old_64x64`, `new_32x32` and `new_64x64`;
  `data.imagenet` describes the sets. The feature is called `image`, as in
  `downsampled_imagenet`, whose pipelines it fits.
  """

  VERSION = tfds.core.Version('1.0.0')
  BUILDER_CONFIGS = tuple(
    tfds.core.BuilderConfig(
      name=f'{version}_{size}x{size}',
      description=imagenet.name(size, version),
    )
    for version in imagenet.LABELS
    for size in (32, 64)
  )
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
    'Put the archives of the set there, such as train_32x32.tar; '
    'trax_hourglass.data.imagenet.SPLITS lists them.'
  )

  @property
  def _version_and_size(self) -> tuple[str, int]:
    version, _, size = self.builder_config.name.partition('_')
    return version, int(size.partition('x')[0])

  def _info(self) -> tfds.core.DatasetInfo:
    _, size = self._version_and_size
    return tfds.core.DatasetInfo(
      builder=self,
      description=self.builder_config.description,
      homepage='https://image-net.org',
      features=tfds.features.FeaturesDict(
        {
          'image': tfds.features.Image(
            shape=(size, size, 3), encoding_format='png'
          ),
        }
      ),
    )

  def _split_generators(self, dl_manager):
    version, size = self._version_and_size
    # All are checked before hours are spent on the first.
    paths = {
      split: imagenet.find_archives(dl_manager.manual_dir, size, version, split)
      for split in ('train', 'validation')
    }
    return {split: self._generate_examples(paths[split]) for split in paths}

  def _generate_examples(self, paths: list[str]) -> Iterator[tuple[int, dict]]:
    version, size = self._version_and_size
    images = imagenet.read_archives(paths, size, version)
    for i, image in enumerate(images):
      yield i, {'image': image}
