"""Tests of files that are replaced once they are whole."""

import os
import threading

import pytest

from trax_hourglass import outputs
from trax_hourglass.configuration import directories


def test_a_link_stays_and_leads_to_the_new_file(tmp_path):
  (tmp_path / 'folder').mkdir()
  file, link = tmp_path / 'folder/file', tmp_path / 'link'
  file.write_bytes(b'earlier')
  link.symlink_to(file)
  with pytest.raises(KeyError), outputs.replacement(link) as opened:
    opened.write(b'part')
    raise KeyError
  assert file.read_bytes() == b'earlier'
  with outputs.replacement(link) as opened:
    opened.write(b'whole')
  assert link.is_symlink()
  assert file.read_bytes() == b'whole'
  assert os.listdir(tmp_path / 'folder') == ['file']
  assert sorted(os.listdir(tmp_path)) == ['folder', 'link']


def test_a_pipe_is_written_directly(tmp_path):
  pipe = tmp_path / 'pipe'
  os.mkfifo(pipe)
  read = []
  reader = threading.Thread(
    target=lambda: read.append(pipe.read_bytes()), daemon=True
  )
  reader.start()
  with outputs.replacement(pipe) as opened:
    opened.write(b'whole')
  assert pipe.is_fifo()
  reader.join(timeout=20)
  assert read == [b'whole']
  assert os.listdir(tmp_path) == ['pipe']


def test_a_folder_that_cannot_be_removed_hides_no_error(tmp_path, monkeypatch):
  def rmdir(*args, **kwargs):
    raise OSError(16, 'Device or resource busy')

  path = str(tmp_path / 'new')
  with pytest.raises(KeyError), directories.writable(path):
    monkeypatch.setattr(os, 'rmdir', rmdir)
    raise KeyError
