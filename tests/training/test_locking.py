"""Two runs in one output directory: the second is refused."""

import subprocess
import sys

import pytest

from tests.training.small_loop import small_loop
from trax_hourglass.errors import UserError
from trax_hourglass.training import locking

_HOLD = """
import fcntl, sys
file = open(sys.argv[1], 'w')
fcntl.lockf(file, fcntl.LOCK_EX)
print('process 1 on host', file=file, flush=True)
print('ready', flush=True)
sys.stdin.read()
"""


def test_second_run_is_refused_until_the_first_is_dead(tmp_path):
  loop = small_loop(tmp_path)
  with subprocess.Popen(
    [sys.executable, '-c', _HOLD, str(tmp_path / '.lock')],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  ) as process:
    assert process.stdout.readline() == 'ready\n'
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


def test_same_process_may_lock_again(tmp_path):
  with locking.locked(str(tmp_path)), locking.locked(f'{tmp_path}/.'):
    pass
  with locking.locked(str(tmp_path)):
    assert 'process' in (tmp_path / '.lock').read_text()
