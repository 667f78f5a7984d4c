"""The paper's data sets, or embedded samples where these are not available.

For notebooks and first looks. A printed line says when a sample is used.
"""

import os

from trax_hourglass.data import (
  enwik8,
  files,
  imagenet,
  images,
  prepared,
  text,
)
from trax_hourglass.errors import UserError


def enwik8_or_sample(
  data_dir: str | os.PathLike = files.CACHE, download: bool = True
) -> text.Text:
  """Returns enwik8, or the embedded sample of Wikipedia if it is unavailable.

  Args:
    data_dir: As for `enwik8`.
    download: As for `enwik8`.
  """
  try:
    return enwik8.enwik8(data_dir=data_dir, download=download)
  except UserError as error:
    print(f'{error}\nThe embedded sample of Wikipedia takes its place.')
    return text.wikipedia_sample()


def imagenet_or_photos(
  size: int = 32,
  data_dir: str | os.PathLike = files.CACHE,
  download: bool = True,
) -> images.Images:
  """Returns ImageNet, or the embedded photographs if it is unavailable.

  The old set, which nothing serves any more, is taken if TensorFlow Datasets
  has prepared it or its archives are in `data_dir`; else the new set, whose
  validation images are 133 MiB at size 32 and 505 MiB at size 64.

  Args:
    size: 32 or 64. The photographs are of 32x32.
    data_dir: Folder of the archives.
    download: Whether to fetch archives of the new set.

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
