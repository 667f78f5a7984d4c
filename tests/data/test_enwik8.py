import dataclasses
import hashlib
import urllib.request
import zipfile

import numpy as np
import pytest

from trax_hourglass.data import enwik8
from trax_hourglass.errors import UserError

CONTENT = bytes(range(97)) * 10


@pytest.fixture(name='served')
def _served(tmp_path, monkeypatch):
  """A small archive in place of enwik8, served from a folder."""
  path = tmp_path / 'server' / 'enwik8.zip'
  path.parent.mkdir()
  _write_zip(path, 'enwik8', CONTENT)
  archive = enwik8.Archive(
    url=path.as_uri(),
    member='enwik8',
    n_bytes=len(CONTENT),
    md5=hashlib.md5(CONTENT).hexdigest(),
  )
  monkeypatch.setattr(enwik8, 'ARCHIVE', archive)
  return path


def _write_zip(path, member, content):
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr(member, content)


def _check_content(text):
  sizes = [len(part) for part in (text.train, text.validation, text.test)]
  assert sizes == [873, 48, 49]
  parts = np.concatenate([text.train, text.validation, text.test])
  assert parts.tobytes() == CONTENT


def test_published_archive():
  assert enwik8.ARCHIVE.url == 'http://mattmahoney.net/dc/enwik8.zip'
  assert enwik8.ARCHIVE.n_bytes == 10**8
  assert enwik8.ARCHIVE.md5 == 'a1fa5ffddb56f4953e226637dabbb36a'


def test_local_zip(served):
  _check_content(enwik8.enwik8(served))


def test_local_raw_file(served, tmp_path):
  path = tmp_path / 'renamed'
  path.write_bytes(CONTENT)
  _check_content(enwik8.enwik8(path))


@pytest.mark.parametrize('name', ['enwik8', 'enwik8.zip'])
def test_finds_it_in_data_dir(served, tmp_path, name):
  content = CONTENT if name == 'enwik8' else served.read_bytes()
  (tmp_path / name).write_bytes(content)
  _check_content(enwik8.enwik8(data_dir=tmp_path))


def test_download_is_kept(served, tmp_path):
  data_dir = tmp_path / 'new' / 'folder'
  _check_content(enwik8.enwik8(data_dir=data_dir, download=True))
  served.unlink()
  assert [path.name for path in data_dir.iterdir()] == ['enwik8.zip']
  _check_content(enwik8.enwik8(data_dir=data_dir, download=True))


def _truncated_zip(path):
  _write_zip(path, 'enwik8', CONTENT)
  path.write_bytes(path.read_bytes()[:-30])


def _damaged_zip(path):
  _write_zip(path, 'enwik8', CONTENT)
  content = bytearray(path.read_bytes())
  content[60:80] = bytes(20)
  path.write_bytes(content)


BROKEN = [
  (_truncated_zip, 'got a broken or truncated file'),
  (_damaged_zip, 'got a broken or truncated file'),
  (
    lambda path: _write_zip(path, 'text8', CONTENT),
    "got a zip without 'enwik8'",
  ),
  (lambda path: path.write_bytes(b''), 'got a broken or truncated file'),
  (
    lambda path: _write_zip(path, 'enwik8', CONTENT[:-1]),
    'got 969 bytes, expected 970',
  ),
  (
    lambda path: _write_zip(path, 'enwik8', CONTENT[::-1]),
    'got MD5 [0-9a-f]{32}, expected ',
  ),
  (lambda path: path.unlink(), 'cannot be (read|downloaded) .*No such file'),
]


def _assert_one_line(error, source):
  assert str(source) in str(error.value)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(('make', 'message'), BROKEN)
def test_broken_local_zip(served, make, message):
  make(served)
  with pytest.raises(UserError, match=message) as error:
    enwik8.enwik8(served)
  _assert_one_line(error, served)


@pytest.mark.parametrize(('make', 'message'), BROKEN)
def test_broken_download_leaves_nothing(served, tmp_path, make, message):
  make(served)
  data_dir = tmp_path / 'data'
  with pytest.raises(UserError, match=message) as error:
    enwik8.enwik8(data_dir=data_dir, download=True)
  _assert_one_line(error, served.as_uri())
  assert not data_dir.exists()


def test_interrupted_download_leaves_nothing(served, tmp_path, monkeypatch):
  def interrupt(*args, **kwargs):
    raise KeyboardInterrupt

  monkeypatch.setattr(urllib.request, 'urlopen', interrupt)
  with pytest.raises(KeyboardInterrupt):
    enwik8.enwik8(data_dir=tmp_path / 'data', download=True)
  assert not (tmp_path / 'data').exists()


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (b'', 'got 0 bytes, expected 970'),
    (CONTENT[1:], 'got 969 bytes, expected 970'),
    (CONTENT[1:] + b'\0', 'got MD5 [0-9a-f]{32}, expected '),
  ],
)
def test_broken_raw_file(served, tmp_path, content, message):
  path = tmp_path / 'enwik8'
  path.write_bytes(content)
  with pytest.raises(UserError, match=message) as error:
    enwik8.enwik8(path)
  _assert_one_line(error, path)


def test_no_file_and_no_download(served, tmp_path):
  data_dir = tmp_path / 'data'
  with pytest.raises(UserError, match='set path, or download=True') as error:
    enwik8.enwik8(data_dir=data_dir)
  _assert_one_line(error, data_dir)
  assert not data_dir.exists()


def test_data_dir_that_cannot_be_written(served, tmp_path, monkeypatch):
  (tmp_path / 'file').touch()
  monkeypatch.setattr(
    enwik8,
    'ARCHIVE',
    dataclasses.replace(enwik8.ARCHIVE, url='file:///must/not/be/asked/for'),
  )
  with pytest.raises(UserError, match=r'^data_dir: cannot write ') as error:
    enwik8.enwik8(data_dir=tmp_path / 'file' / 'below', download=True)
  _assert_one_line(error, tmp_path)
