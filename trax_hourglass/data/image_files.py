"""Images on disk: as separate files, and as one memory-mapped array."""

from collections.abc import Iterable
import functools
import io
import os

import numpy as np
from PIL import Image, ImageOps
import tqdm

from trax_hourglass.data import files
from trax_hourglass.errors import UserError, warn

# Formats of photographs with recognizable first bytes. Pillow has more: with a
# palette, for icons, or for which it starts a program.
_FORMATS = (
  *('AVIF', 'BMP', 'JPEG', 'JPEG2000', 'PNG', 'PPM', 'QOI', 'TIFF', 'WEBP'),
)
_SHOWN = 3


def read_folder(folder: str) -> np.ndarray:
  """Returns all images in a folder and its subfolders, sorted by path.

  Other files are skipped, with a warning. Links to other folders are followed;
  each folder is read once.

  Raises:
    UserError: If there is no image, or `decode` refuses one.
  """
  paths = sorted(
    os.path.join(parent, name)
    for parent, names in files.walk(folder)
    for name in names
  )
  suffixes = _suffixes()
  pixels, shape, skipped = bytearray(), None, []  # Held once, not stacked.
  for path in tqdm.tqdm(paths, folder, disable=None):
    if not (path.lower().endswith(suffixes) or _is_image(path)):
      skipped.append(os.path.relpath(path, folder))
      continue
    with files.reading(path), open(path, 'rb') as file:
      content = file.read()
    image = decode(content, path, shape and shape[:2])
    shape = image.shape
    pixels += image.tobytes()
  if not pixels:
    raise UserError(
      f'{folder}: got no image, expected a folder with PNG or JPEG files, or '
      'others that Pillow reads'
    )
  warn_of_skipped(folder, skipped)
  return np.frombuffer(pixels, np.uint8).reshape(-1, *shape)


def warn_of_skipped(folder: str, names: list[str]) -> None:
  """Warns of the number of files skipped in a folder, and names some."""
  if names:
    shown = ', '.join(names[:_SHOWN])
    more = f' and {len(names) - _SHOWN:,} more' if names[_SHOWN:] else ''
    warn(
      f'{folder}: skipped {len(names):,} items that are not read as images: '
      f'{shown}{more}'
    )


def decode(
  content: bytes, source: str, size: tuple[int, int] | None = None
) -> np.ndarray:
  """Returns an image file's content as uint8, `(height, width, 3)`, upright.

  Raises:
    UserError: If it cannot be decoded, is not in RGB, or does not have the
      height and width `size`.
  """
  try:
    with Image.open(io.BytesIO(content), formats=_known_formats()) as image:
      if image.mode != 'RGB':
        kind = 'grey' if image.mode[0] in '1LIF' else f'{image.mode}'
        raise UserError(
          f'{source}: got a {kind} image, expected RGB; convert or remove it'
        )
      ImageOps.exif_transpose(image, in_place=True)
      height, width = size or image.size[::-1]
      if image.size != (width, height):
        got = 'x'.join(map(str, image.size[::-1]))
        raise UserError(
          f'{source}: got an image of {got}, expected {height}x{width}; all '
          'must have the same size'
        )
      return np.asarray(image)
  except UserError:
    raise
  except Exception as error:  # Decoding a damaged file may raise anything.
    raise UserError(
      f'{source}: cannot be decoded, expected an image; it may be damaged: '
      'fetch it again or remove it'
    ) from error


@functools.cache
def _known_formats():
  """Returns those of `_FORMATS` that the installed Pillow supports."""
  Image.init()
  return tuple(name for name in _FORMATS if name in Image.OPEN)


@functools.cache
def _suffixes():
  known = _known_formats()
  suffixes = Image.registered_extensions()
  return tuple(s for s, name in suffixes.items() if name in known)


def _is_image(path):
  """Returns whether a file is an image, whatever its name."""
  if not os.path.isfile(path):
    return False
  try:
    with Image.open(path, formats=_known_formats()):
      return True
  except Exception:  # A damaged one may raise anything.
    return False


def memory_mapped(
  path: str,
  shape: tuple[int, int, int, int],
  images: Iterable[np.ndarray],
  folder_name: str = 'data_dir',
) -> np.ndarray:
  """Returns images in a `.npy` file, which is written unless it exists.

  Args:
    path: The file.
    shape: `(n, height, width, 3)`.
    images: Arrays of `shape[1:]` to write.
    folder_name: The argument that gives the file's folder, for errors.

  Raises:
    UserError: If the file cannot be written, or holds another array.
  """
  files.make_once(
    path, lambda part: _write(part, shape, images, path), folder_name
  )
  with files.reading(path):
    try:
      array = np.load(path, mmap_mode='r')
    except (ValueError, EOFError):
      array = np.empty(0)
  if array.shape != shape or array.dtype != np.uint8:
    raise files.damaged(path, f'images of shape {shape}')
  return array


def _write(part, shape, images, path):
  header = {'descr': '|u1', 'fortran_order': False, 'shape': shape}
  n_images = 0
  # Not through a memory map, where a full disk would kill the process.
  with files.created(part) as file:
    np.lib.format.write_array_header_1_0(file, header)
    for image in tqdm.tqdm(
      images, f'unpack {os.path.basename(path)}', shape[0], disable=None
    ):
      file.write(image.tobytes())
      n_images += 1
    if n_images != shape[0]:
      raise UserError(
        f'{path}: got {n_images:,} images to put there, expected {shape[0]:,}; '
        'fetch their archives again'
      )
