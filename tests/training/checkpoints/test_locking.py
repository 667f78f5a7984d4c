"""Two runs in one output directory: the second is refused."""

import contextlib
import errno
import fcntl
import os
import subprocess
import sys

import pytest

from tests.training.small_loop import small_loop
from trax_hourglass.configuration import directories
from trax_hourglass.errors import UserError
from trax_hourglass.training.checkpoints import locking

_HOLD = """
import fcntl, sys
file = open(sys.argv[1], 'w')
fcntl.flock(file, fcntl.LOCK_EX)
print('process 1 on host', file=file, flush=True)
print('ready', flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def _held(directory):
  """Locks a directory in another process."""
  with subprocess.Popen(
    [sys.executable, '-c', _HOLD, str(directory / '.lock')],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  ) as process:
    assert process.stdout.readline() == 'ready\n'
    yield process
    process.kill()


def test_second_run_is_refused_until_the_first_is_dead(tmp_path):
  loop = small_loop(tmp_path)
  with _held(tmp_path) as process:
    before = sorted(tmp_path.rglob('*'))
    for use in (lambda: loop.run(1), lambda: small_loop(tmp_path)):
      with pytest.raises(
        UserError, match=f'{tmp_path} is in use by .*process 1 on host'
      ):
        use()
    assert sorted(tmp_path.rglob('*')) == before
    process.kill()
    process.wait()
    loop.run(1)


def test_a_refused_run_leaves_the_other_its_new_directory(tmp_path):
  """Two runs start at once: one makes the directory, the other locks it."""
  run = tmp_path / 'new' / 'run'
  with contextlib.ExitStack() as stack:
    with (
      pytest.raises(locking.InUseError),
      directories.writable(str(run)),
    ):
      stack.enter_context(_held(run))
      stack.enter_context(locking.locked(str(run)))
    assert (run / '.lock').exists()
  with pytest.raises(KeyError), directories.writable(str(tmp_path / 'other')):
    raise KeyError
  assert sorted(tmp_path.iterdir()) == [tmp_path / 'new']


def test_a_lock_outlives_a_reader_of_its_file(tmp_path):
  """Closing any file drops a POSIX lock that its process has on it."""
  with locking.locked(str(tmp_path)):
    assert 'process' in (tmp_path / '.lock').read_text()
    code = f'import filelock; filelock.FileLock({str(tmp_path / ".lock")!r})'
    code += '.acquire(timeout=0)'
    held = subprocess.run([sys.executable, '-c', code], capture_output=True)
  assert b'Timeout' in held.stderr
  subprocess.run([sys.executable, '-c', code], check=True)


def test_a_file_system_without_locks(tmp_path, monkeypatch, capsys):
  def refuse(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

  monkeypatch.setattr(fcntl, 'flock', refuse)
  with locking.locked(str(tmp_path)):
    pass
  assert 'cannot be locked ([Errno 37] No locks' in capsys.readouterr().err


def test_same_process_may_lock_again(tmp_path):
  with locking.locked(str(tmp_path)), locking.locked(f'{tmp_path}/.'):
    pass
  with locking.locked(str(tmp_path)):
    assert 'process' in (tmp_path / '.lock').read_text()
