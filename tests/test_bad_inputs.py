"""Each mistake in `bad_inputs` is one line, exit code 2, and leaves nothing."""

import collections
import importlib
import os
import shutil
import string
import subprocess
import sys

import jax
import pytest

from tests import bad_inputs, bad_places, forked_command
from trax_hourglass.lab.benchmarks import device_memory

COMMANDS = tuple(bad_inputs.USUAL)
ALL = bad_inputs.CASES


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  return tmp_path_factory.mktemp('root')


@pytest.fixture(scope='module')
def places(root):
  return bad_places.make(root)


@pytest.fixture(scope='module', autouse=True)
def processes(root, places, tmp_path_factory):
  """Starts one mistake of each command in a process, beside the tests.

  The first one is `python -m` from the start: JAX reads its environment when it
  is imported. The others are forked by one that has imported the libraries.
  """
  folder = tmp_path_factory.mktemp('processes')
  copy = folder / 'root'
  shutil.copytree(root, copy, symlinks=True)
  there = {name: copy / path.relative_to(root) for name, path in places.items()}
  before = _content(copy)
  argvs = [
    [_filled_in(text, there) for text in case.argv()]
    for case in bad_inputs.PROCESSES
  ]
  first, *others = zip(bad_inputs.PROCESSES, argvs, strict=True)
  (case, (command, *flags)) = first
  with subprocess.Popen(
    [sys.executable, '-m', f'trax_hourglass.{command}', *flags],
    env={**os.environ, **case.environment},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  ) as whole:
    forked = [
      (
        case,
        forked_command.start(argv, case.environment or {}, folder / argv[0]),
      )
      for case, argv in others
    ]

    def wait():
      """Yields a case, its exit code, its stdout and its stderr."""
      out, err = whole.communicate(timeout=300)
      yield case, whole.returncode, out, err
      for other, process in forked:
        process.join(300)
        path = folder / other.command
        out, err = (
          path.with_suffix(suffix).read_text() for suffix in ('.out', '.err')
        )
        yield other, process.exitcode, out, err

    yield wait, there, lambda: _content(copy) == before
    for _, process in forked:
      process.kill()
      process.join()


@pytest.fixture(autouse=True)
def simulated(monkeypatch):
  """Makes JAX, which has started, count the devices that are simulated."""

  def simulate(n_devices):
    monkeypatch.setattr(jax, 'device_count', lambda: n_devices)

  monkeypatch.setattr(device_memory, 'simulate', simulate)


def _filled_in(text, places):
  return string.Template(text).substitute(places)


def _content(root):
  """Returns the contents of all files, and the folders, locks left out."""
  return {
    path: path.read_bytes() if path.is_file() else None
    for path in root.rglob('*')
    if path.name != '.lock'
  }


def _check(case, places, code, err):
  assert code == 2
  [line] = err.strip().splitlines()
  assert line.startswith('error: ')
  assert _filled_in(case.mistake, places) in line
  assert _filled_in(case.remedy, places) in line
  assert 'Traceback' not in line


def _name(case):
  last = case.argv()[-1] if case.arguments else 'nothing'
  return f'{case.command} {last.removeprefix("--config=")}'[:70]


@pytest.mark.parametrize('case', ALL, ids=_name)
def test_a_mistake_is_one_line_and_leaves_nothing(
  case, root, places, capsys, monkeypatch
):
  monkeypatch.chdir(root / 'cwd')
  for name, value in (case.environment or {}).items():
    monkeypatch.setenv(name, value)
  module = importlib.import_module(f'trax_hourglass.{case.command}')
  before = _content(root)
  capsys.readouterr()
  with pytest.raises(SystemExit) as exit_info:
    module.main([_filled_in(text, places) for text in case.argv()])
  out, err = capsys.readouterr()
  assert not out
  _check(case, places, exit_info.value.code, err)
  assert _content(root) == before


def test_each_command_reports_a_mistake_as_a_process(processes):
  wait, there, is_unchanged = processes
  for case, code, out, err in wait():
    assert not out
    _check(case, there, code, err)
  assert is_unchanged()


def test_every_command_has_mistakes():
  assert len(ALL) >= 60
  assert len({tuple(case.argv()) for case in ALL if not case.environment}) >= 60
  commands = collections.Counter(case.command for case in ALL)
  assert set(commands) == set(COMMANDS)
  assert sorted(case.command for case in bad_inputs.PROCESSES) == sorted(
    COMMANDS
  )
