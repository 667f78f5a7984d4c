"""Images in folders and in one memory-mapped file."""

import tracemalloc

import numpy as np
from PIL import Image
import pytest

from tests.data.pictures import pixels, save
from trax_hourglass.data import image_files
from trax_hourglass.errors import UserError


def _truncated(path):
  content = save(path, pixels(1, 9, 9)[0]).read_bytes()
  path.write_bytes(content[:-40])


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (lambda path: path.parent.rmdir(), 'got no image'),
    (lambda path: None, 'got no image, expected a folder with PNG or JPEG'),
    (lambda path: path.touch(), 'cannot be decoded'),
    (lambda path: path.write_text('text'), 'cannot be decoded'),
    (_truncated, 'cannot be decoded'),
    (lambda path: save(path, pixels(1)[0], 'L'), 'got a grey image'),
    (lambda path: save(path, pixels(1)[0], 'RGBA'), 'got a RGBA image'),
    (lambda path: save(path, pixels(1)[0], 'P'), 'got a P image'),
  ],
)
def test_bad_folder(tmp_path, make, message):
  path = tmp_path / 'set' / 'a.png'
  path.parent.mkdir()
  make(path)
  with pytest.raises(UserError, match=message) as error:
    image_files.read_folder(path.parent)
  assert str(path if path.exists() else path.parent) in str(error.value)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  ('orientation', 'upright'),
  [
    (1, lambda x: x),
    (2, np.fliplr),
    (3, lambda x: np.rot90(x, 2)),
    (6, lambda x: np.rot90(x, -1)),  # A quarter clockwise.
    (8, np.rot90),
  ],
)
def test_photographs_are_upright(tmp_path, orientation, upright):
  array = pixels(1)[0]
  exif = Image.Exif()
  exif[274] = orientation
  for name in ('a.png', 'b.webp'):
    Image.fromarray(array).save(tmp_path / name, exif=exif, lossless=True)
  found = image_files.read_folder(tmp_path)
  np.testing.assert_array_equal(found, [upright(array)] * 2)


@pytest.mark.parametrize(
  ('name', 'form', 'tolerance'),
  [
    ('a.webp', 'WEBP', 0),
    ('a.BMP', 'BMP', 0),
    ('a.tif', 'TIFF', 0),
    ('a.ppm', 'PPM', 0),
    ('a', 'PNG', 0),
    ('a.dat', 'BMP', 0),
    ('a.jpeg', 'JPEG', 3),
    ('a.jpe', 'JPEG', 3),
    ('a.jfif', 'JPEG', 3),
  ],
)
def test_formats_that_pillow_reads(tmp_path, capsys, name, form, tolerance):
  array = np.full((16, 16, 3), [200, 90, 10], np.uint8)
  Image.fromarray(array).save(tmp_path / name, form, lossless=True)
  found = image_files.read_folder(tmp_path)
  np.testing.assert_allclose(found.astype(int), [array], atol=tolerance)
  assert not capsys.readouterr().err


def test_skipped_files_are_counted_and_named(tmp_path, capsys):
  save(tmp_path / 'a.png', pixels(1)[0])
  for name in ('b.txt', 'below/c.csv', 'd.png.part', 'e', '.hidden'):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text('P6 is how a PPM begins')
  (tmp_path / 'gone').symlink_to(tmp_path / 'nowhere')
  assert len(image_files.read_folder(str(tmp_path))) == 1
  assert capsys.readouterr().err == (
    f'warning: {tmp_path}: skipped 5 items that are not read as images: b.txt, '
    'below/c.csv, d.png.part and 2 more\n'
  )


def test_links_to_folders_are_followed_once(tmp_path):
  """Loops of links end, and links to folders above are not followed."""
  arrays = pixels(4)
  folder, other = tmp_path / 'set', tmp_path / 'other'
  for path, array in zip(
    (folder / 'a.png', folder / 'b/c.png', other / 'd.png', tmp_path / 'e.png'),
    arrays,
    strict=True,
  ):
    save(path, array)
  for link, target in {
    folder / 'x': other,
    folder / 'y': other,
    folder / 'again': folder / 'b',
    folder / 'b/up': folder,
    folder / 'above': tmp_path,
    other / 'loop': other,
    other / 'back': folder,
  }.items():
    link.symlink_to(target, target_is_directory=True)
  found = image_files.read_folder(str(folder))
  np.testing.assert_array_equal(found, arrays[:3])
  (tmp_path / 'linked').symlink_to(folder, target_is_directory=True)
  found = image_files.read_folder(str(tmp_path / 'linked'))
  np.testing.assert_array_equal(found, arrays[:3])


def test_a_folder_that_cannot_be_read_is_named(tmp_path, unreadable):
  save(tmp_path / 'a.png', pixels(1)[0])
  (tmp_path / 'b').mkdir()
  unreadable('b')
  with pytest.raises(UserError, match='/b: cannot be read .Permission'):
    image_files.read_folder(str(tmp_path))


def test_mixed_sizes(tmp_path):
  save(tmp_path / 'a.png', pixels(1)[0])
  path = save(tmp_path / 'b.png', pixels(1, 2, 4)[0])
  with pytest.raises(
    UserError, match=f'{path}: got an image of 2x4, expected 2x3'
  ):
    image_files.read_folder(tmp_path)


def test_memory_holds_a_folder_once(tmp_path):
  n, size = 40, 200
  for i in range(n):
    Image.new('RGB', (size, size), (i, 0, 9)).save(tmp_path / f'{i:02}.bmp')
  tracemalloc.start()
  try:
    found = image_files.read_folder(str(tmp_path))
    _, peak = tracemalloc.get_traced_memory()
  finally:
    tracemalloc.stop()
  np.testing.assert_array_equal(found[:, 7, 7, 0], np.arange(n))
  assert peak < 1.5 * found.nbytes


def test_memory_mapped_array_is_written_once(tmp_path):
  path = str(tmp_path / 'made' / 'images.npy')
  expected = pixels(5)
  for source in (expected, iter(())):
    array = image_files.memory_mapped(path, expected.shape, source)
    assert isinstance(array, np.memmap)
    np.testing.assert_array_equal(array, expected)
  np.testing.assert_array_equal(array[[3, 1]], expected[[3, 1]])


def test_memory_mapped_array_is_all_or_nothing(tmp_path):
  path = str(tmp_path / 'images.npy')
  with pytest.raises(UserError, match='got 4 images to put there, expected 5'):
    image_files.memory_mapped(path, (5, 2, 3, 3), pixels(4))
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('content', [b'', b'text', None])
def test_damaged_memory_mapped_array(tmp_path, content):
  path = tmp_path / 'images.npy'
  if content is None:
    np.save(path, pixels(4))
  else:
    path.write_bytes(content)
  with pytest.raises(UserError, match='got a damaged file, .* delete it'):
    image_files.memory_mapped(str(path), (5, 2, 3, 3), ())
