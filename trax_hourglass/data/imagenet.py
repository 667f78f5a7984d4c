"""ImageNet at 32x32 and 64x64, from its published archives.

There are two sets, whose bits per dim do not compare. The old one (van den Oord
et al. 2016, arXiv:1601.06759) is a tar of PNG files for each split; papers on
density estimation, this one too, report on it. The new one (Chrabaszcz et al.
2017, arXiv:1707.08819) is box filtered, so smoother and lower in bits per dim;
it is zips of npz files.
"""

import collections
from collections.abc import Iterator
import dataclasses
import functools
import io
import os
import zipfile

import numpy as np

from trax_hourglass.data import downloads, files, image_files, images
from trax_hourglass.errors import UserError

LABELS = {
  'old': 'old set (van den Oord et al. 2016)',
  'new': 'new set (box filtered, Chrabaszcz et al. 2017)',
}


@dataclasses.dataclass(frozen=True)
class Split:
  """The archives of a split, and the number of images in them."""

  archives: tuple[downloads.Archive, ...]
  n_images: int


_URLS = {
  'old': 'http://image-net.org/small/{}.tar',
  'new': 'http://www.image-net.org/data/downsample/{}_npz.zip',
}
# Version, size, split, its number of images; an archive, its bytes and SHA-256,
# as TensorFlow Datasets registers them for downsampled_imagenet and
# imagenet_resized.
_ARCHIVES = """
old 32 train 1281149 train_32x32 4113018880
  244a323d48f8d72f65ad8b54658c01fed68d2d7bdc77ccb43da58c11e94224e5
old 32 validation 49999 valid_32x32 161474560
  862e559462b24cf736212a19f6b0d47b55c2dc8ebdaa95ccecfe71260124c8f7
old 64 train 1281149 train_64x64 12112588800
  e2a2c1947a748d0d256e98e6d82800d855441dc9e4de2e71a773f1324c4524d7
old 64 validation 49999 valid_64x64 477255680
  eeac03ec4f585baf871d2b4cb9c974bfe345e74878a74e5820fe6eb1041629cd
new 32 train 1281167 Imagenet32_train 3580435279
  94226337ecc1b0309d9fcd0167127aaadc931587035fbcb53925235edbaec4fc
new 32 validation 50000 Imagenet32_val 139697668
  013990e6dec1237dcd1f9beadbab81ead6604cc119af5cacbfb59ae28148377a
new 64 train 1281167 Imagenet64_train_part1 6783426789
  9422dc1dc5d092e9814a70a1cb7fc74880d2db5d88a0cb8a34ee363b12bde3f1
new 64 train 1281167 Imagenet64_train_part2 6780506068
  9fafc115afb7e6c301e66dc16b2d737152b427bd5dab26e1293487a6819c7f30
new 64 validation 50000 Imagenet64_val 529522927
  e1e75133158a1924135a9c6f97a80d2d237b158945e0b34074e58e6c8430eeb8
"""


def _published() -> dict[tuple[str, int, str], Split]:
  """Returns the published splits by version, size and name."""
  splits = collections.defaultdict(lambda: Split((), 0))
  for row in np.reshape(_ARCHIVES.split(), (-1, 7)).tolist():
    version, size, split, n_images, name, n_bytes, sha256 = row
    archive = downloads.Archive(
      _URLS[version].format(name), int(n_bytes), sha256
    )
    before = splits[version, int(size), split].archives
    splits[version, int(size), split] = Split((*before, archive), int(n_images))
  return dict(splits)


SPLITS = _published()


def imagenet32(
  data_dir: str | os.PathLike = files.CACHE,
  version: str = 'old',
  download: bool = False,
) -> images.Images:
  """Returns ImageNet at 32x32: 1.28 million images, 50,000 for validation.

  When a split is first asked for, its archives are checked and unpacked into a
  file of 3.9 GB (training) or 150 MB (validation) beside them. That file is
  mapped into memory; the archives are not needed any more.

  Args:
    data_dir: Folder of the archives, which must be writable.
    version: 'old', the set that the paper reports on, or 'new'.
    download: Whether to fetch missing archives; only for the new set.

  Raises:
    UserError: If there is no such version; when a split is asked for, if its
      archives are missing or are not the published ones.
  """
  return _imagenet(32, data_dir, version, download)


def imagenet64(
  data_dir: str | os.PathLike = files.CACHE,
  version: str = 'old',
  download: bool = False,
) -> images.Images:
  """Returns ImageNet at 64x64, as `imagenet32` does.

  Unpacked, the splits take 15.7 GB and 610 MB.
  """
  return _imagenet(64, data_dir, version, download)


def name(size: int, version: str) -> str:
  """Returns the name of a set."""
  return f'ImageNet{size}, {LABELS[version]}'


def find_archives(
  folder: str, size: int, version: str, split: str, download: bool = False
) -> list[str]:
  """Checks a split's archives in a folder and returns their paths.

  Raises:
    UserError: If one is missing, unless it is downloaded, or is not the
      published one.
  """
  paths = []
  for archive in SPLITS[version, size, split].archives:
    path = os.path.join(folder, archive.name)
    if os.path.exists(path):
      with files.reading(path):
        archive.check(path, path)
    elif download:
      downloads.download(archive.url, path, archive.check)
    else:
      raise UserError(_missing(size, version, split, folder, archive))
    paths.append(path)
  return paths


def read_archives(
  paths: list[str], size: int, version: str
) -> Iterator[np.ndarray]:
  """Yields the images, `(size, size, 3)`, in archives of a version.

  Raises:
    UserError: If an archive is broken, or holds an image of another size or not
      in RGB.
  """
  read = {'old': _read_pngs, 'new': _read_npzs}[version]
  for path in paths:
    yield from read(path, size)


def _imagenet(size, data_dir, version, download):
  if version not in LABELS:
    raise UserError(
      f'version: got {version!r}, expected one of {tuple(LABELS)}'
    )
  if download and version == 'old':
    raise UserError(
      'download: got True, expected False for the old set, whose address is '
      'gone; get its tar files elsewhere, they are checked'
    )
  data_dir = files.folder('data_dir', data_dir)
  unpacked = functools.partial(_unpacked, data_dir, size, version, download)
  return images.Images(
    name(size, version),
    {s: functools.partial(unpacked, s) for s in ('train', 'validation')},
  )


def _unpacked(data_dir, size, version, download, split):
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


def _read_pngs(path, size):
  for member, content in files.tar_members(path):
    yield image_files.decode(content, f'{path}: {member}', (size, size))


def _read_npzs(path, size):
  with files.reading(path), zipfile.ZipFile(path) as archive:
    members = [n for n in archive.namelist() if n.endswith('.npz')]
    for member in sorted(members, key=lambda n: (len(n), n)):
      # An npz is itself a zip, which is slow to read inside another.
      with np.load(io.BytesIO(archive.read(member))) as batch:
        planes = batch['data']
      if planes.dtype != np.uint8 or planes.shape[1:] != (3 * size * size,):
        raise UserError(
          f'{path}: {member}: got {planes.dtype} {planes.shape}, expected '
          f'uint8 (n, {3 * size * size}); give the images of {size}x{size}'
        )
      yield from planes.reshape(-1, 3, size, size).transpose(0, 2, 3, 1)
