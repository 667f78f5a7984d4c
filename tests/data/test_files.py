"""Downloads from a local server, and tars read without extracting them."""

import hashlib
import http.server
import io
import os
import re
import tarfile
import threading

import pytest

from trax_hourglass.data import files
from trax_hourglass.errors import UserError

CONTENT = bytes(range(251)) * 40
PATH = '/archive.zip'


class _Server(http.server.ThreadingHTTPServer):
  """Serves `CONTENT` and records the ranges it was asked for."""

  def __init__(self):
    super().__init__(('127.0.0.1', 0), _Handler)
    self.ranges = []
    self.breaks_after = None
    self.honours_ranges = True
    self.url = f'http://127.0.0.1:{self.server_port}{PATH}'


class _Handler(http.server.BaseHTTPRequestHandler):
  def do_GET(self):
    asked = self.headers.get('Range')
    self.server.ranges.append(asked)
    first = 0
    if self.path != PATH:
      self.send_error(404)
      return
    if asked and self.server.honours_ranges:
      first = int(re.fullmatch(r'bytes=(\d+)-', asked)[1])
      if first >= len(CONTENT):
        self.send_error(416)
        return
      self.send_response(206)
    else:
      self.send_response(200)
    self.send_header('Content-Length', str(len(CONTENT) - first))
    self.end_headers()
    self.wfile.write(CONTENT[first:][: self.server.breaks_after])

  def log_message(self, *args):
    pass


@pytest.fixture
def server():
  with _Server() as server:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()


def _archive(url, content=CONTENT):
  return files.Archive(url, len(content), hashlib.sha256(content).hexdigest())


def _download(server, path, content=CONTENT):
  files.download(server.url, str(path), _archive(server.url, content).check)


def test_downloads_once(server, tmp_path):
  path = tmp_path / 'made' / 'below' / 'archive.zip'
  for _ in range(2):
    _download(server, path)
    assert path.read_bytes() == CONTENT
  assert server.ranges == [None]
  assert os.listdir(path.parent) == ['archive.zip']


def test_resumes_a_broken_download(server, tmp_path):
  path = tmp_path / 'archive.zip'
  server.breaks_after = 1234
  with pytest.raises(UserError, match='got 1,234 of 10,040 bytes') as error:
    _download(server, path)
  assert '\n' not in str(error.value)
  assert os.listdir(tmp_path) == ['archive.zip.part']
  server.breaks_after = None
  _download(server, path)
  assert path.read_bytes() == CONTENT
  assert server.ranges == [None, 'bytes=1234-']
  assert os.listdir(tmp_path) == ['archive.zip']


@pytest.mark.parametrize('n_bytes', [1234, len(CONTENT)])
def test_starts_over_if_the_server_ignores_ranges(server, tmp_path, n_bytes):
  (tmp_path / 'archive.zip.part').write_bytes(CONTENT[:n_bytes])
  server.honours_ranges = False
  _download(server, tmp_path / 'archive.zip')
  assert (tmp_path / 'archive.zip').read_bytes() == CONTENT


def test_takes_a_complete_part(server, tmp_path):
  """Left behind if the check is interrupted."""
  (tmp_path / 'archive.zip.part').write_bytes(CONTENT)
  _download(server, tmp_path / 'archive.zip')
  assert server.ranges == [f'bytes={len(CONTENT)}-']
  assert (tmp_path / 'archive.zip').read_bytes() == CONTENT


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (CONTENT[1:], 'got 10,040 bytes, expected 10,039'),
    (CONTENT[::-1], 'got SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}'),
  ],
)
def test_a_wrong_file_is_removed(server, tmp_path, content, message):
  with pytest.raises(UserError, match=message) as error:
    _download(server, tmp_path / 'archive.zip', content)
  assert server.url in str(error.value)
  assert not os.listdir(tmp_path)


def test_a_part_of_a_wrong_file_is_removed(server, tmp_path):
  (tmp_path / 'archive.zip.part').write_bytes(bytes(100))
  with pytest.raises(UserError, match='got SHA-256'):
    _download(server, tmp_path / 'archive.zip')
  _download(server, tmp_path / 'archive.zip')
  assert (tmp_path / 'archive.zip').read_bytes() == CONTENT


def test_nothing_at_the_address(server, tmp_path):
  server.url += '.old'
  with pytest.raises(UserError, match='cannot be downloaded .HTTP Error 404'):
    _download(server, tmp_path / 'archive.zip')
  assert not os.listdir(tmp_path)


def test_only_one_of_two_at_once_makes_it(tmp_path):
  """The other waits for the lock, and finds the file there."""
  path = str(tmp_path / 'file')
  begun, made = threading.Event(), []

  def make(part):
    made.append(part)
    begun.set()
    other.join(timeout=0.2)
    assert other.is_alive()
    with open(part, 'ab') as file:
      file.write(b'once')

  def wait_and_make():
    begun.wait()
    files.make_once(path, made.append)

  other = threading.Thread(target=wait_and_make)
  other.start()
  files.make_once(path, make)
  other.join()
  assert len(made) == 1
  assert (tmp_path / 'file').read_bytes() == b'once'
  assert os.listdir(tmp_path) == ['file']


def test_one_fails_and_the_other_makes_it(tmp_path):
  """The lock file that the other waits for is gone by then, and its folder."""
  path, begun = str(tmp_path / 'new' / 'file'), threading.Event()

  def make_and_fail(part):
    begun.set()
    other.join(timeout=0.2)
    assert other.is_alive()
    raise UserError('another file')

  def make(part):
    with open(part, 'ab') as file:
      file.write(b'made')

  def wait_and_make():
    begun.wait()
    files.make_once(path, make)

  other = threading.Thread(target=wait_and_make)
  other.start()
  with pytest.raises(UserError, match='another file'):
    files.make_once(path, make_and_fail)
  other.join()
  assert (tmp_path / 'new' / 'file').read_bytes() == b'made'
  assert os.listdir(tmp_path / 'new') == ['file']


def test_a_part_is_kept_for_the_next_call(tmp_path):
  path = tmp_path / 'file'

  def make_and_fail(part):
    with open(part, 'ab') as file:
      file.write(b'half')
    raise UserError('interrupted')

  with pytest.raises(UserError, match='interrupted'):
    files.make_once(str(path), make_and_fail)
  assert os.listdir(tmp_path) == ['file.part']
  files.make_once(str(path), lambda part: None)
  assert path.read_bytes() == b'half'
  assert os.listdir(tmp_path) == ['file']


def test_a_created_file_is_on_disk_before_it_is_moved(tmp_path, monkeypatch):
  """Else it could be there, and be empty, after a power cut."""
  synced = []
  monkeypatch.setattr(
    os, 'fsync', lambda descriptor: synced.append(os.fstat(descriptor).st_size)
  )

  def make(part):
    with files.created(part) as file:
      file.write(CONTENT)
      assert not synced

  files.make_once(str(tmp_path / 'file'), make)
  assert synced == [len(CONTENT)]
  assert (tmp_path / 'file').read_bytes() == CONTENT


def _tar(path, members):
  with tarfile.open(path, 'w') as archive:
    for info, content in members:
      info.size = len(content)
      archive.addfile(info, io.BytesIO(content))


def test_a_tar_is_read_and_not_extracted(tmp_path):
  """Wherever its members would lead to."""
  path = tmp_path / 'inner' / 'archive.tar'
  path.parent.mkdir()
  folder = tarfile.TarInfo('folder')
  folder.type = tarfile.DIRTYPE
  names = ['folder/a.png', '../b.png', str(tmp_path / 'c.png')]
  _tar(path, [(folder, b''), *((tarfile.TarInfo(n), CONTENT) for n in names)])
  assert list(files.tar_members(path)) == [(name, CONTENT) for name in names]
  assert [p.name for p in tmp_path.rglob('*') if p.is_file()] == ['archive.tar']


@pytest.mark.parametrize('kind', [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_in_a_tar_is_refused(tmp_path, kind):
  link = tarfile.TarInfo('a.png')
  link.type, link.linkname = kind, '/etc/passwd'
  _tar(tmp_path / 'archive.tar', [(link, b'')])
  with pytest.raises(UserError, match="got a link or device 'a.png'"):
    list(files.tar_members(tmp_path / 'archive.tar'))


@pytest.mark.parametrize('n_bytes', [0, 100, 600, 9000])
def test_a_truncated_tar(tmp_path, n_bytes):
  path = tmp_path / 'archive.tar'
  _tar(path, [(tarfile.TarInfo('a'), CONTENT)])
  path.write_bytes(path.read_bytes()[:n_bytes])
  with pytest.raises(UserError, match='broken or truncated') as error:
    list(files.tar_members(path))
  assert '\n' not in str(error.value)
