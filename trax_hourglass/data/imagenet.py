"""ImageNet at 32x32 and 64x64, from its published archives.

There are two sets, and a model's bits per dim on one is not that on the other.
The old one (van den Oord et al. 2016, arXiv:1601.06759) is a tar of PNG files
for each split; papers on density estimation report on it, this one too. The new
one (Chrabaszcz et al. 2017, arXiv:1707.08819) is box filtered, thus smoother
and lower in bits per dim; it is zips of npz files.
"""

from collections.abc import Iterator
import dataclasses
import functools
import io
import os
import zipfile

import numpy as np

from trax_hourglass.data import files, image_files, images
from trax_hourglass.errors import UserError

CACHE = '~/.cache/trax_hourglass'
LABELS = {
  'old': 'old set (van den Oord et al. 2016)',
  'new': 'new set (box filtered, Chrabaszcz et al. 2017)',
}


@dataclasses.dataclass(frozen=True)
class Split:
  """The archives that make up a split, and the images in them."""

  archives: tuple[files.Archive, ...]
  n_images: int


def _old(name, n_bytes, sha256, n_images):
  url = f'http://image-net.org/small/{name}.tar'
  return Split((files.Archive(url, n_bytes, sha256),), n_images)


def _new(n_images, *archives):
  return Split(
    tuple(
      files.Archive(
        f'http://www.image-net.org/data/downsample/{name}_npz.zip',
        n_bytes,
        sha256,
      )
      for name, n_bytes, sha256 in archives
    ),
    n_images,
  )


# Sizes and checksums are those that TensorFlow Datasets registers for
# downsampled_imagenet and imagenet_resized.
SPLITS = {
  ('old', 32, 'train'): _old(
    'train_32x32',
    4_113_018_880,
    '244a323d48f8d72f65ad8b54658c01fed68d2d7bdc77ccb43da58c11e94224e5',
    1_281_149,
  ),
  ('old', 32, 'validation'): _old(
    'valid_32x32',
    161_474_560,
    '862e559462b24cf736212a19f6b0d47b55c2dc8ebdaa95ccecfe71260124c8f7',
    49_999,
  ),
  ('old', 64, 'train'): _old(
    'train_64x64',
    12_112_588_800,
    'e2a2c1947a748d0d256e98e6d82800d855441dc9e4de2e71a773f1324c4524d7',
    1_281_149,
  ),
  ('old', 64, 'validation'): _old(
    'valid_64x64',
    477_255_680,
    'eeac03ec4f585baf871d2b4cb9c974bfe345e74878a74e5820fe6eb1041629cd',
    49_999,
  ),
  ('new', 32, 'train'): _new(
    1_281_167,
    (
      'Imagenet32_train',
      3_580_435_279,
      '94226337ecc1b0309d9fcd0167127aaadc931587035fbcb53925235edbaec4fc',
    ),
  ),
  ('new', 32, 'validation'): _new(
    50_000,
    (
      'Imagenet32_val',
      139_697_668,
      '013990e6dec1237dcd1f9beadbab81ead6604cc119af5cacbfb59ae28148377a',
    ),
  ),
  ('new', 64, 'train'): _new(
    1_281_167,
    (
      'Imagenet64_train_part1',
      6_783_426_789,
      '9422dc1dc5d092e9814a70a1cb7fc74880d2db5d88a0cb8a34ee363b12bde3f1',
    ),
    (
      'Imagenet64_train_part2',
      6_780_506_068,
      '9fafc115afb7e6c301e66dc16b2d737152b427bd5dab26e1293487a6819c7f30',
    ),
  ),
  ('new', 64, 'validation'): _new(
    50_000,
    (
      'Imagenet64_val',
      529_522_927,
      'e1e75133158a1924135a9c6f97a80d2d237b158945e0b34074e58e6c8430eeb8',
    ),
  ),
}


def imagenet32(
  data_dir: str | os.PathLike = CACHE,
  version: str = 'old',
  download: bool = False,
) -> images.Images:
  """Returns ImageNet at 32x32: 1.28 million images, 50,000 for validation.

  A split's archives are checked and unpacked when it is first asked for, into
  a file of 3.9 GB (training) or 150 MB (validation) beside them. From then on
  that file is mapped into memory, and the archives are not needed.

  Args:
    data_dir: Where the archives are, a folder that can be written to.
    version: 'old', the set that the paper reports on, or 'new'.
    download: Whether to fetch missing archives, of the new set alone.

  Raises:
    UserError: If there is no such version; when a split is asked for, if its
      archives are missing or are not the published ones.
  """
  return _imagenet(32, data_dir, version, download)


def imagenet64(
  data_dir: str | os.PathLike = CACHE,
  version: str = 'old',
  download: bool = False,
) -> images.Images:
  """Returns ImageNet at 64x64, as `imagenet32` does.

  Unpacked, the splits take 15.7 GB and 610 MB.
  """
  return _imagenet(64, data_dir, version, download)


def name(size: int, version: str) -> str:
  """Returns which set it is, in words."""
  return f'ImageNet{size}, {LABELS[version]}'


def find_archives(
  folder: str, size: int, version: str, split: str, download: bool = False
) -> list[str]:
  """Returns the paths of a split's archives, all of them checked.

  Args:
    folder: Where they are.
    size: 32 or 64.
    version: 'old' or 'new'.
    split: 'train' or 'validation'.
    download: Whether to fetch those that are missing.

  Raises:
    UserError: If one is missing, or is not the published one.
  """
  paths = []
  for archive in SPLITS[version, size, split].archives:
    path = os.path.join(folder, archive.name)
    if os.path.exists(path):
      with files.reading(path):
        archive.check(path, path)
    elif download:
      files.download(archive.url, path, archive.check)
    else:
      raise UserError(_missing(size, version, split, folder, archive))
    paths.append(path)
  return paths


def read_archives(
  paths: list[str], size: int, version: str
) -> Iterator[np.ndarray]:
  """Yields the images, `(size, size, 3)`, in archives of one of the sets.

  Raises:
    UserError: If an archive is broken, or one of its images is not of that size
      and in RGB.
  """
  for path in paths:
    yield from (_tar_of_png if version == 'old' else _zip_of_npz)(path, size)


def _imagenet(size, data_dir, version, download):
  if version not in LABELS:
    raise UserError(
      f'version: got {version!r}, expected one of {tuple(LABELS)}'
    )
  if download and version == 'old':
    raise UserError(
      'download: got True, expected False for the old set, which is no longer '
      'where it was; get its tar files elsewhere, they are checked'
    )
  data_dir = os.path.abspath(os.path.expanduser(data_dir))
  return images.Images(
    name(size, version),
    {
      split: functools.partial(
        _unpacked, data_dir, size, version, split, download
      )
      for split in ('train', 'validation')
    },
  )


def _unpacked(data_dir, size, version, split, download):
  """Returns a split as a memory-mapped array."""

  def unpack():
    paths = find_archives(data_dir, size, version, split, download)
    yield from read_archives(paths, size, version)

  return image_files.memory_mapped(
    os.path.join(data_dir, f'imagenet{size}_{version}_{split}.npy'),
    (SPLITS[version, size, split].n_images, size, size, 3),
    unpack(),
  )


def _missing(size, version, split, folder, archive):
  message = (
    f'{split} split of {name(size, version)}: got no {archive.name} in '
    f'{folder}, expected it there; '
  )
  if version == 'new':
    return f'{message}set data_dir, or download=True'
  return (
    f'{message}set data_dir. {archive.url} is gone, other places, such as '
    'Academic Torrents, have it'
  )


def _tar_of_png(path, size):
  for member, content in files.tar_members(path):
    yield image_files.decode(content, f'{path}: {member}', (size, size))


def _zip_of_npz(path, size):
  with files.reading(path), zipfile.ZipFile(path) as archive:
    members = [n for n in archive.namelist() if n.endswith('.npz')]
    for member in sorted(members, key=lambda n: (len(n), n)):
      # An npz is a zip itself, and slow to read from within another one.
      with np.load(io.BytesIO(archive.read(member))) as batch:
        planes = batch['data']
      if planes.dtype != np.uint8 or planes.shape[1:] != (3 * size * size,):
        raise UserError(
          f'{path}: {member}: got {planes.dtype} {planes.shape}, expected '
          f'uint8 (n, {3 * size * size}); give the images of {size}x{size}'
        )
      yield from planes.reshape(-1, 3, size, size).transpose(0, 2, 3, 1)
