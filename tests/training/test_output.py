"""Tests that trained steps are saved when output fails or a signal comes."""

import contextlib
import os
import signal
import sys
import threading

import pytest

from tests.commands import arguments, fails
import trax_hourglass
from trax_hourglass import evaluate, generate, load_checkpoint, train
from trax_hourglass.commands import run_config, training
from trax_hourglass.configuration import exits
from trax_hourglass.training import Loop


@contextlib.contextmanager
def _full_disk():
  with open('/dev/full', 'w') as file, contextlib.redirect_stdout(file):
    yield


@contextlib.contextmanager
def _head(n_lines):
  """Makes stdout a pipe whose reader leaves after `n_lines`."""
  reader, writer = os.pipe()

  def read():
    with open(reader) as file:
      for _ in range(n_lines):
        file.readline()

  thread = threading.Thread(target=read)
  thread.start()
  try:
    with open(writer, 'w') as file, contextlib.redirect_stdout(file):
      yield thread
  finally:
    thread.join()


def test_training_goes_on_where_reports_cannot_be_written(
  text, tmp_path, capsys
):
  with _full_disk(), pytest.raises(SystemExit) as raised:
    train.main(arguments(text, tmp_path))
  assert raised.value.code == 2
  assert capsys.readouterr().err.splitlines() == [
    'warning: stdout: cannot be written (No space left on device); training '
    'goes on',
    'error: stdout: cannot be written (No space left on device); redirect it '
    'elsewhere',
  ]
  assert load_checkpoint(str(tmp_path))['step'] == 4
  assert (tmp_path / 'learning_curve.png').exists()

  # The other commands, on what was trained.
  for main, flag in ((evaluate.main, ''), (generate.main, '--length=5')):
    argv = ['command', f'--output_dir={tmp_path}', *filter(None, [flag])]
    with _full_disk(), pytest.raises(SystemExit) as raised:
      main(argv)
    assert raised.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith('error: stdout: cannot be written (No space left')


def test_training_stops_where_nobody_reads_its_reports(
  text, tmp_path, capsys, monkeypatch
):
  def one_step(self, *args):
    if self.step == 2:
      reader.join()
    return original(self, *args)

  original = Loop._update
  monkeypatch.setattr(Loop, '_update', one_step)
  argv = arguments(text, tmp_path, 'train.steps = 9')
  with pytest.raises(SystemExit) as raised, _head(1) as reader:
    train.main(argv)
  assert raised.value.code == 141
  step = load_checkpoint(str(tmp_path))['step']
  assert step in (2, 3)  # The reader may be gone before the report of step 2.
  assert capsys.readouterr().err.splitlines() == [
    '',
    f'stopped by SIGPIPE (nobody reads its output) at step {step}, all saved; '
    'the same command goes on from there',
  ]


@pytest.mark.usefixtures('default_signals')
@pytest.mark.parametrize('signum', [signal.SIGTERM, signal.SIGHUP])
def test_signal_while_building_leaves_nothing(
  text, tmp_path, capsys, monkeypatch, signum
):
  def build(*_):
    assert (tmp_path / 'a/b/.lock').exists()
    os.kill(os.getpid(), signum)
    os.kill(os.getpid(), signum)  # While it cleans up: no matter.
    raise AssertionError('not reached')

  handlers = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGHUP)]
  monkeypatch.setattr(training, '_build', build)
  line = fails(capsys, arguments(text, tmp_path / 'a/b'), code=128 + signum)
  assert line == f'interrupted by {signal.Signals(signum).name}'
  assert not list(tmp_path.iterdir())
  assert handlers == [
    signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGHUP)
  ]


def test_sighup_stays_ignored(monkeypatch):
  """As nohup asks."""
  before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
  try:

    @exits.exit_codes()
    def main():
      os.kill(os.getpid(), signal.SIGHUP)
      return 'done'

    assert main() == 'done'
  finally:
    signal.signal(signal.SIGHUP, before)


def test_full_disk_costs_only_the_picture(
  text, tmp_path, disk_full_during, capsys
):
  disk_full_during(train.learning_curves, 'plot')
  train.main(arguments(text, tmp_path))
  out, err = capsys.readouterr()
  path = tmp_path / 'learning_curve.png'
  assert f'warning: {path} cannot be written (File too large)\n' in err
  assert 'score ' in out
  assert load_checkpoint(str(tmp_path))['step'] == 4
  assert not list(tmp_path.glob('learning_curve*'))


def test_full_disk_leaves_no_part_of_a_configuration(tmp_path, disk, capsys):
  path = tmp_path / 'config.gin'
  run_config.save(tmp_path, 0, '# header\n\na = 1\n')
  disk(10)
  run_config.save(tmp_path, 0, '# header\n\na = 2\n')
  disk()
  assert path.read_text() == '# header\n\na = 1\n'
  assert list(tmp_path.iterdir()) == [path]
  assert capsys.readouterr().err == (
    f'warning: {path} cannot be written (File too large)\n'
  )


def test_header_names_the_version_that_runs(monkeypatch):
  monkeypatch.setattr(trax_hourglass, '__version__', '7.8.9')
  header = run_config.text('command', 1).partition('\n\n')[0]
  assert 'trax-hourglass 7.8.9, trax ' in header


def test_closed_streams_are_no_error(monkeypatch):
  """As `>&-` leaves them."""

  @exits.exit_codes()
  def main():
    print('lost')
    sys.stdout.flush()

  monkeypatch.setattr(sys, 'stdout', None)
  monkeypatch.setattr(sys, 'stderr', None)
  main()


def test_other_os_errors_keep_their_traceback():
  with pytest.raises(FileNotFoundError), exits.exit_codes():
    raise FileNotFoundError('a bug')


def test_the_exit_code_reports_errors_if_nothing_can_be_printed():
  with (
    open('/dev/full', 'w') as full,
    contextlib.redirect_stdout(full),
    contextlib.redirect_stderr(full),
    pytest.raises(SystemExit) as raised,
    exits.exit_codes(),
  ):
    print('lost', flush=True)
  assert raised.value.code == 2
