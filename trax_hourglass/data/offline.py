"""The data sets of the paper, or where they cannot be had an embedded sample.

For notebooks and first looks: figures carry the name of what they are on, and a
line says when that is a sample.
"""

import os

from trax_hourglass.data import enwik8, imagenet, images, prepared, text
from trax_hourglass.errors import UserError


def enwik8_or_sample(
  data_dir: str | os.PathLike = imagenet.CACHE, download: bool = True
) -> text.Text:
  """Returns enwik8, or where there is no network the embedded sample.

  Args:
    data_dir: Where `enwik8` looks for it and keeps a download.
    download: Whether to fetch 35 MiB if there is none in `data_dir`.
  """
  try:
    return enwik8.enwik8(data_dir=data_dir, download=download)
  except UserError as error:
    print(f'{error}\nThe embedded sample of Wikipedia takes its place.')
    return text.wikipedia_sample()


def imagenet_or_photos(
  size: int = 32,
  data_dir: str | os.PathLike = imagenet.CACHE,
  download: bool = True,
) -> images.Images:
  """Returns ImageNet, or if there is none the embedded photographs.

  The old set is taken if TensorFlow Datasets has prepared it or its archives
  are in `data_dir`, for nothing serves it any more; else the new set, whose
  archives can be downloaded: 133 MiB of validation images at size 32, 505 MiB
  at size 64.

  Args:
    size: 32 or 64. The photographs are of 32x32.
    data_dir: Where `imagenet32` and `imagenet64` look for archives.
    download: Whether to fetch the archive of the new set.

  Raises:
    UserError: If there is no such size.
  """
  archives = {32: imagenet.imagenet32, 64: imagenet.imagenet64}
  candidates = (
    prepared.downsampled_imagenet(size, cache_dir=data_dir),
    archives[size](data_dir),
    archives[size](data_dir, 'new', download),
  )
  for candidate in candidates:
    try:
      candidate.split('validation')
      return candidate
    except UserError as error:
      print(error)
  print('The embedded photographs take their place.')
  return images.photos32()
