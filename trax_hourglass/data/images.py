"""Images as arrays of uint8, and their streams of tokens.

The tokens of an image are its sub-pixels, row by row with the channels last:
`(32, 32, 3)` becomes 3072 tokens.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import functools
import importlib.resources
import os
from typing import ClassVar

import numpy as np
from trax.data import inputs as trax_inputs

from trax_hourglass.data import files, image_files, streams, windows
from trax_hourglass.errors import UserError, check_positive


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Images:
  """Images in splits, each loaded when it is asked for.

  Attributes:
    name: The name of the set, without which bits per dim mean nothing.
    loaders: For each split, a function that returns its images as an array of
      uint8, `(n, height, width, 3)`, which may be memory-mapped.
    unit: What a model's cross-entropy is reported in.
  """

  unit: ClassVar[str] = 'bits per dim'

  name: str
  loaders: Mapping[str, Callable[[], np.ndarray]]

  def __repr__(self):
    return f'Images({self.name!r})'

  @classmethod
  def from_arrays(cls, name: str, **splits: np.ndarray) -> 'Images':
    """Returns images that are in memory.

    Raises:
      UserError: If an array is not of uint8 and `(n, height, width, 3)`.
    """
    for split, images in splits.items():
      if images.dtype != np.uint8 or images.shape[3:] != (3,):
        raise UserError(
          f'{split} split of {name}: got {images.dtype} {images.shape}, '
          'expected uint8 (n, height, width, 3)'
        )
    return cls(name, {split: lambda x=x: x for split, x in splits.items()})

  def split(self, name: str) -> np.ndarray:
    """Returns the images of a split.

    Raises:
      UserError: If there is no such split, or it is empty.
    """
    if name not in self.loaders:
      raise UserError(
        f'split: got {name!r}, expected one of {tuple(self.loaders)}, which '
        f'{self.name} has'
      )
    images = self.loaders[name]()
    if not len(images):
      raise UserError(
        f'{name} split of {self.name}: got 0 images, expected at least 1; '
        'give more images'
      )
    return images


def photos32() -> Images:
  """Returns the embedded photographs of 32x32, 579 and 96 for validation."""
  sample = importlib.resources.files(__package__) / 'samples/photos32.npz'
  with sample.open('rb') as file, np.load(file) as arrays:
    return Images.from_arrays('photos32, the embedded photographs', **arrays)


def photo_patches(size: int = 16) -> Images:
  """Returns the embedded photographs, cut into patches.

  Args:
    size: Height and width of a patch, which divides 32.

  Raises:
    UserError: If it does not.
  """
  check_positive(size=size)
  photos = photos32()
  splits = {split: photos.split(split) for split in photos.loaders}
  height = photos.split('train').shape[1]
  if height % size:
    raise UserError(f'size: got {size}, expected a divisor of {height}')
  return Images.from_arrays(
    f'patches of {size}x{size} of {photos.name}',
    **{split: _patches(images, size) for split, images in splits.items()},
  )


def image_folder(path: str | os.PathLike) -> Images:
  """Returns the images in a folder and its subfolders, links included.

  They may be in any format for photographs that Pillow decodes, such as PNG,
  JPEG, WebP, BMP and TIFF, whatever the files' names, and are turned upright as
  Exif says. A warning counts and names skipped files.

  The folders `train`, `validation` and `test` are the splits. Without any of
  these, all images in the order of their paths are split: the first 90%, then
  5%, then 5%; where subfolders are classes, that tests on the last classes
  alone. They are held in memory.

  Raises:
    UserError: If there is no image, one cannot be read or is not in RGB, or two
      in a split differ in size.
  """
  path = files.folder('path', path)
  name = os.path.basename(path)
  folders = {split: os.path.join(path, split) for split in streams.SPLITS}
  loaders = {
    split: functools.cache(functools.partial(image_files.read_folder, folder))
    for split, folder in folders.items()
    if os.path.isdir(folder)
  }
  if loaders:
    beside = sorted(set(os.listdir(path)).difference(loaders))
    image_files.warn_of_skipped(
      path, [name for name in beside if not name.startswith('.')]
    )
    return Images(name, loaders)
  parts = streams.split(image_files.read_folder(path))
  return Images.from_arrays(
    name, **dict(zip(streams.SPLITS, parts, strict=True))
  )


def image_inputs(
  images: Images,
  batch_size: int,
  eval_batch_size: int | None = None,
  eval_batches: int | None = None,
  eval_split: str = 'validation',
  seed: int = 0,
  mirror: bool = False,
) -> trax_inputs.Inputs:
  """Returns the `inputs` of Trax's `train`.

  Training batches come from the train split, in an order of its own for each
  pass; a batch may span two passes, so no image is lost. Each evaluation of a
  run has the same batches: the images of the other split, from the first on.

  Args:
    images: The images with their splits.
    batch_size: Images in a batch, over all devices.
    eval_batch_size: Images in an evaluation batch, `batch_size` by default.
    eval_batches: Most batches in an evaluation; by default all, the last of
      which may be partly empty.
    eval_split: Split for evaluations while training; CIFAR-10 has only 'test'.
    seed: Seed of the order.
    mirror: Whether each pass over the training images has each of them twice,
      once mirrored left to right.

  Raises:
    UserError: If an argument is out of range, a split is missing, the splits
      differ in size, or a batch cannot be shared out evenly among the devices.
  """
  check_images(images)
  check_positive(batch_size=batch_size)
  streams.check_seed(seed)
  if not isinstance(mirror, bool):
    raise UserError(f'mirror: got {mirror!r}, expected True or False')
  train, evaluation = images.split('train'), images.split(eval_split)
  if train.shape[1:] != evaluation.shape[1:]:
    raise UserError(
      f'{eval_split} split of {images.name}: got images of '
      f'{evaluation.shape[1:]}, expected {train.shape[1:]}, as in the train '
      'split'
    )

  def train_stream():
    order = streams.Shuffled((1 + mirror) * len(train), batch_size, seed)

    def make_batch(choice):
      mirrored, index = np.divmod(choice, len(train))
      chosen = train[index]
      chosen[mirrored == 1] = chosen[mirrored == 1, :, ::-1]
      return streams.batch(chosen.reshape(len(chosen), -1))

    return streams.Stream(order, make_batch)

  return streams.inputs(
    train_stream,
    lambda size: scoring_batches(evaluation, size),
    len(evaluation),
    batch_size,
    eval_batch_size,
    eval_batches,
  )


def scoring_batches(
  images: np.ndarray, batch_size: int
) -> Iterator[streams.Batch]:
  """Returns batches of each image once, the last one filled with weight 0."""
  length = images[0].size
  return windows.scoring_windows(images.ravel(), length, length, batch_size)


def check_images(images) -> None:
  """Raises `UserError` unless `images` is an `Images`."""
  if not isinstance(images, Images):
    raise UserError(
      f'images: got {images!r}, expected an Images, such as '
      '@trax_hourglass.photos32()'
    )


def _patches(images: np.ndarray, size: int) -> np.ndarray:
  """Returns `(n * patches of an image, size, size, 3)`."""
  n, height, width, channels = images.shape
  rows, columns = height // size, width // size
  patches = images.reshape(n, rows, size, columns, size, channels)
  return patches.swapaxes(2, 3).reshape(-1, size, size, channels)
