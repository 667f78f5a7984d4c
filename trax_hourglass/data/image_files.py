"""Images on disk: as PNG and JPEG files, and as one array to be mapped."""

from collections.abc import Iterable
import io
import os

import numpy as np
from PIL import Image
import tqdm

from trax_hourglass.data import files
from trax_hourglass.errors import UserError

_SUFFIXES = ('.png', '.jpg', '.jpeg')


def read_folder(folder: str) -> np.ndarray:
  """Returns all images in a folder and in those below, sorted by path.

  Raises:
    UserError: If there is none, or `decode` refuses one.
  """
  paths = sorted(
    os.path.join(parent, name)
    for parent, _, names in os.walk(folder)
    for name in names
    if name.lower().endswith(_SUFFIXES) and not name.startswith('.')
  )
  if not paths:
    raise UserError(
      f'{folder}: got no image, expected a folder with PNG or JPEG files'
    )
  images = []
  for path in tqdm.tqdm(paths, folder, disable=None):
    size = images[0].shape[:2] if images else None
    with files.reading(path), open(path, 'rb') as file:
      content = file.read()
    images.append(decode(content, path, size))
  return np.stack(images)


def decode(
  content: bytes, source: str, size: tuple[int, int] | None = None
) -> np.ndarray:
  """Returns an image file as uint8, `(height, width, 3)`.

  Args:
    content: What is in the file.
    source: Where it comes from, for the error.
    size: The height and width that it must have; any by default.

  Raises:
    UserError: If it cannot be decoded, is not in RGB, or has another size.
  """
  try:
    with Image.open(io.BytesIO(content), formats=('PNG', 'JPEG')) as image:
      height, width = size or image.size[::-1]
      if image.size != (width, height):
        got = 'x'.join(map(str, image.size[::-1]))
        raise UserError(
          f'{source}: got an image of {got}, expected {height}x{width}; all '
          'must have the same size'
        )
      if image.mode != 'RGB':
        kind = 'grey' if image.mode[0] in '1LIF' else f'{image.mode}'
        raise UserError(
          f'{source}: got a {kind} image, expected RGB; convert it or take it '
          'out'
        )
      return np.asarray(image)
  except UserError:
    raise
  except Exception as error:  # Decoding a damaged file may raise anything.
    raise UserError(
      f'{source}: got what cannot be decoded, expected a PNG or JPEG image; it '
      'may be damaged: fetch it again or take it out'
    ) from error


def memory_mapped(
  path: str, shape: tuple[int, int, int, int], images: Iterable[np.ndarray]
) -> np.ndarray:
  """Returns the array of images in a `.npy` file, which is written if need be.

  Args:
    path: The file.
    shape: `(n, height, width, 3)`.
    images: What to write, arrays of `shape[1:]`.

  Raises:
    UserError: If the file cannot be written, or holds something else.
  """

  def make(part):
    try:
      _write(part, shape, images, path)
    except BaseException:
      os.remove(part)
      raise

  files.make_once(path, make)
  with files.reading(path):
    try:
      array = np.load(path, mmap_mode='r')
    except (ValueError, EOFError):
      array = np.empty(0)
  if array.shape != shape or array.dtype != np.uint8:
    raise UserError(
      f'{path}: got a damaged file, expected images of shape {shape}; delete '
      'it, and it is made again'
    )
  return array


def _write(part, shape, images, path):
  header = {'descr': '|u1', 'fortran_order': False, 'shape': shape}
  n_images = 0
  # Not through a memory map: a full disk would kill the process.
  with open(part, 'wb') as file:
    np.lib.format.write_array_header_1_0(file, header)
    for image in tqdm.tqdm(
      images, f'unpack {os.path.basename(path)}', shape[0], disable=None
    ):
      file.write(image.tobytes())
      n_images += 1
  if n_images != shape[0]:
    raise UserError(
      f'{path}: got {n_images:,} images to put there, expected {shape[0]:,}; '
      'fetch what they come from again'
    )
