"""Downloads from a local server: checked, resumed, complete or absent."""

import hashlib
import http.server
import os
import re
import threading

import pytest

from trax_hourglass.data import downloads
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
  return downloads.Archive(
    url, len(content), hashlib.sha256(content).hexdigest()
  )


def _download(server, path, content=CONTENT):
  downloads.download(server.url, str(path), _archive(server.url, content).check)


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
