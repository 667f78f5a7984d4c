"""Images that TensorFlow Datasets (TFDS) has prepared on disk."""

import functools
import os

import numpy as np

from trax_hourglass.data import files, image_files, imagenet
from trax_hourglass.data.images import Images
from trax_hourglass.errors import UserError, file_errors, reason


def cifar10(
  data_dir: str | os.PathLike | None = None,
  cache_dir: str | os.PathLike = files.CACHE,
) -> Images:
  """Returns CIFAR-10: 50,000 images for training, 10,000 for testing.

  When a split is first asked for, it is copied into a file in `cache_dir`, from
  then on mapped into memory.

  Args:
    data_dir: Folder of prepared data sets; by default that of TFDS.
    cache_dir: A writable folder.

  Raises:
    UserError: When a split is asked for, if TFDS has not prepared the set.
  """
  return _images(
    'CIFAR-10', 'cifar10', 32, ('train', 'test'), data_dir, cache_dir
  )


def downsampled_imagenet(
  size: int = 32,
  data_dir: str | os.PathLike | None = None,
  cache_dir: str | os.PathLike = files.CACHE,
) -> Images:
  """Returns the old set of ImageNet, cached as CIFAR-10 is by `cifar10`.

  `imagenet32` and `imagenet64` read the same images from archives, and say how
  much space these take.

  Args:
    size: 32 or 64.
    data_dir: As for `cifar10`.
    cache_dir: As for `cifar10`.

  Raises:
    UserError: If there is no such size; when a split is asked for, if TFDS has
      not prepared the set.
  """
  if size not in (32, 64):
    raise UserError(f'size: got {size!r}, expected 32 or 64')
  return _images(
    imagenet.name(size, 'old'),
    f'downsampled_imagenet/{size}x{size}',
    size,
    ('train', 'validation'),
    data_dir,
    cache_dir,
  )


def _images(name, tfds_name, size, splits, *folders):
  load = functools.partial(_load, tfds_name, size, *folders)
  return Images(name, {s: functools.partial(load, s) for s in splits})


def _load(tfds_name, size, data_dir, cache_dir, split) -> np.ndarray:
  # Imported here because `import trax_hourglass` imports this module.
  import tensorflow_datasets as tfds

  if data_dir is not None:
    data_dir = files.folder('data_dir', data_dir)
  builder = tfds.builder(tfds_name, data_dir=data_dir)
  if not builder.is_prepared():
    raise UserError(
      f'{tfds_name}: got nothing in {builder.data_path}, expected a data set '
      f'prepared by TFDS; run {_command(tfds_name, data_dir)}'
    )
  dataset = builder.as_dataset(
    split=split, decoders=tfds.decode.PartialDecoding({'image': True})
  )
  version = builder.info.version
  file_name = f'{tfds_name}-{version}-{split}.npy'.replace('/', '-')
  return image_files.memory_mapped(
    os.path.join(files.folder('cache_dir', cache_dir), file_name),
    (builder.info.splits[split].num_examples, size, size, 3),
    _decoded(dataset, builder.data_path),
    'cache_dir',
  )


def _decoded(dataset, source):
  """Yields the images of a data set; raises `UserError` if it is damaged."""
  import tensorflow_datasets as tfds

  try:
    for example in tfds.as_numpy(dataset):
      yield example['image']
  except file_errors() as error:
    raise UserError(
      f'{source}: cannot be read ({reason(error)}), expected what TFDS has '
      'prepared; delete it and prepare it again'
    ) from error


def _command(tfds_name, data_dir):
  """Returns the command that prepares a set."""
  command = f'tfds build {tfds_name}'
  if data_dir is not None:
    command += f' --data_dir={data_dir}'
  if tfds_name == 'cifar10':
    return f'`{command}`'
  # What TFDS would download is gone.
  return f'`{command} --manual_dir=FOLDER` with the published tar files there'
