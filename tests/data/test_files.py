"""Files made once, and tars read without extracting them."""

import io
import os
import tarfile
import threading

import pytest

from trax_hourglass.data import files
from trax_hourglass.errors import UserError

CONTENT = bytes(range(251)) * 40


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
