"""Downloads from a server in a thread, and archives that are not extracted."""

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
  """Serves `CONTENT`; says what it was asked for."""

  def __init__(self):
    super().__init__(('127.0.0.1', 0), _Handler)
    self.ranges = []
    self.breaks_after = None
    self.knows_ranges = True
    self.url = f'http://127.0.0.1:{self.server_port}{PATH}'


class _Handler(http.server.BaseHTTPRequestHandler):
  def do_GET(self):
    asked = self.headers.get('Range')
    self.server.ranges.append(asked)
    first = 0
    if self.path != PATH:
      self.send_error(404)
      return
    if asked and self.server.knows_ranges:
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


def test_goes_on_where_it_broke(server, tmp_path):
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
def test_starts_again_where_the_server_knows_no_ranges(
  server, tmp_path, n_bytes
):
  (tmp_path / 'archive.zip.part').write_bytes(CONTENT[:n_bytes])
  server.knows_ranges = False
  _download(server, tmp_path / 'archive.zip')
  assert (tmp_path / 'archive.zip').read_bytes() == CONTENT


def test_takes_a_part_that_is_whole(server, tmp_path):
  """As it is left when the check is interrupted."""
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
def test_another_file_is_removed(server, tmp_path, content, message):
  with pytest.raises(UserError, match=message) as error:
    _download(server, tmp_path / 'archive.zip', content)
  assert server.url in str(error.value)
  assert not os.listdir(tmp_path)


def test_a_part_of_another_file_is_removed(server, tmp_path):
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


def test_of_several_at_once_one_makes_it(tmp_path):
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
  """The file whose lock the other process waits for is gone by then."""
  path, begun, found = str(tmp_path / 'new' / 'file'), threading.Event(), []

  def make_and_fail(part):
    begun.set()
    other.join(timeout=0.2)
    assert other.is_alive()
    os.remove(part)
    raise UserError('another file')

  def make(part):
    found.append(os.path.getsize(part))
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
  assert found == [0]
  assert (tmp_path / 'new' / 'file').read_bytes() == b'made'
  assert os.listdir(tmp_path / 'new') == ['file']


def test_a_part_that_another_has_begun_is_left_alone(tmp_path):
  """Another process begins between the failure of one and its clean-up."""
  path = tmp_path / 'file'

  def make_and_fail(part):
    os.remove(part)
    open(part, 'ab').close()
    raise UserError('another file')

  with pytest.raises(UserError, match='another file'):
    files.make_once(str(path), make_and_fail)
  assert os.listdir(tmp_path) == ['file.part']


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
