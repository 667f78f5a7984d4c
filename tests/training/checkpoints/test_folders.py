"""Checkpoints on disk: complete or absent, and which are kept."""

import errno
import itertools
import os
import resource
import shutil
import signal
import stat
import threading
import types

import numpy as np
import pytest

from tests.training.small_loop import assert_same, batches, small_loop
from trax_hourglass.errors import UserError
from trax_hourglass.training.checkpoints import folders, keeper, saver, state


def _write(directory, step, content=b'content', permanent=False, **metrics):
  return folders.write(
    str(directory),
    step,
    {'a': lambda file: file.write(content)},
    permanent=permanent,
    metrics=metrics,
  )


def _steps(directory):
  return [one.step for one in folders.stored(str(directory))]


def test_writes_a_folder_with_a_manifest(tmp_path):
  path = _write(tmp_path, 7, loss=0.1)
  assert path == str(tmp_path / 'checkpoints/step_00000007')
  manifest = folders.verify(path)
  assert (manifest['step'], manifest['metrics']) == (7, {'loss': 0.1})
  assert os.listdir(tmp_path / 'checkpoints') == ['step_00000007']


@pytest.mark.parametrize(
  'replacement, reason',
  [
    (b'conten', 'a: got 6 bytes, expected 7'),
    (b'contend', 'a: its SHA-256 is not that in manifest.json'),
    (None, 'a: No such file'),
  ],
)
def test_sees_damage(tmp_path, replacement, reason):
  path = _write(tmp_path, 1)
  os.remove(f'{path}/a')
  if replacement is not None:
    (tmp_path / 'checkpoints/step_00000001/a').write_bytes(replacement)
  with pytest.raises(folders.DamagedError, match=reason):
    folders.verify(path)


def test_sees_every_damaged_byte_of_the_manifest(tmp_path):
  path = _write(tmp_path, 1, loss=float('nan'))
  manifest = tmp_path / 'checkpoints/step_00000001/manifest.json'
  content = manifest.read_bytes()
  folders.verify(path)
  for i in range(len(content)):
    for flipped in (1, 32):
      damaged = bytearray(content)
      damaged[i] ^= flipped
      manifest.write_bytes(damaged)
      with pytest.raises(folders.DamagedError):
        folders.verify(path)


def test_folders_that_cannot_be_synced_do_not_matter(tmp_path, monkeypatch):
  def fsync(descriptor):
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
      raise OSError(errno.EINVAL, 'Invalid argument')

  monkeypatch.setattr(os, 'fsync', fsync)
  folders.verify(_write(tmp_path, 1))


def test_failed_write_leaves_nothing(tmp_path):
  _write(tmp_path, 1)
  limit = resource.getrlimit(resource.RLIMIT_FSIZE)
  ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  try:
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limit[1]))
    with pytest.raises(OSError) as raised:
      _write(tmp_path, 2, b'x' * 10000)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    signal.signal(signal.SIGXFSZ, ignored)
  assert raised.value.errno == errno.EFBIG
  assert os.listdir(tmp_path / 'checkpoints') == ['step_00000001']
  folders.verify(str(tmp_path / 'checkpoints/step_00000001'))


def test_replaces_a_checkpoint_of_the_same_step(tmp_path):
  _write(tmp_path, 1, b'old')
  path = _write(tmp_path, 1, b'new')
  folders.verify(path)
  assert (tmp_path / 'checkpoints/step_00000001/a').read_bytes() == b'new'


def test_keeps_the_last_the_best_and_the_permanent(tmp_path):
  losses = [5.0, 1.0, 4.0, 3.0, 9.0, 2.0]
  for step, loss in enumerate(losses):
    _write(tmp_path, step, permanent=step == 0, loss=loss)
    folders.prune(str(tmp_path), 2, 'loss', 'loss')
  assert _steps(tmp_path) == [5, 4, 1, 0]
  folders.prune(str(tmp_path), 1, None, None)
  assert _steps(tmp_path) == [5, 0]
  assert sorted(os.listdir(tmp_path / 'checkpoints')) == [
    'step_00000000',
    'step_00000005',
  ]


def test_evaluation_that_is_not_finite_is_no_best_one(tmp_path):
  directory = str(tmp_path)
  for step, loss in enumerate([float('nan'), 1.4, float('nan'), 1.5]):
    _write(tmp_path, step, loss=loss, accuracy=-loss)
    folders.prune(directory, 1, 'loss', None)
  assert _steps(tmp_path) == [3, 1]
  _write(tmp_path, 4, loss=float('-inf'), accuracy=float('inf'))
  _write(tmp_path, 5, loss=float('nan'), accuracy=float('nan'))
  folders.prune(directory, 1, 'loss', 'accuracy')
  assert _steps(tmp_path) == [5, 1]


def test_cleans_what_a_killed_writer_left(tmp_path):
  path = _write(tmp_path, 1)
  left = tmp_path / 'checkpoints/.writing_step_00000002'
  shutil.copytree(path, left)
  assert _steps(tmp_path) == [1]
  folders.clean(str(tmp_path))
  assert not left.exists()
  assert _steps(tmp_path) == [1]


def test_links_follow_the_newest_also_in_a_copy(tmp_path):
  first = tmp_path / 'first'
  saver.link_latest(str(first), _write(first, 1, b'1'))
  saver.link_latest(str(first), _write(first, 2, b'2'))
  (first / 'latest.new').symlink_to('what a killed run left')
  saver.link_latest(str(first), _write(first, 2, b'2'))
  assert (first / 'a').read_bytes() == b'2'
  assert not (first / 'latest.new').is_symlink()
  assert not (first / 'manifest.json').exists()
  copy = shutil.copytree(first, tmp_path / 'copy')  # Of what links point to.
  saver.link_latest(str(copy), _write(copy, 3, b'3'))
  assert (copy / 'a').read_bytes() == b'3'
  assert (first / 'a').read_bytes() == b'2'


def test_loop_keeps_what_it_is_told_to(tmp_path):
  loop = small_loop(
    tmp_path,
    keep_last=2,
    save_every=2,
    n_steps_per_checkpoint=4,
    checkpoint_low_metric='loss',
    permanent_checkpoint_at=lambda step: step == 5,
    checkpoint_at=lambda step: step == 11,  # Beside those of `save_every`.
  )
  loop.run(12)
  assert _steps(tmp_path)[:2] == [12, 11]
  loop.run(1)
  losses = dict(loop.history.get('eval', 'metrics/loss'))
  best = min((4, 8, 12), key=losses.get)  # At 1 there is no checkpoint.
  assert set(_steps(tmp_path)) == {13, 12, 5, best}
  with pytest.raises(UserError, match="got 'lost', expected one of the metr"):
    small_loop(checkpoint_low_metric='lost')


def test_evaluations_beside_save_every_are_saved_where_the_best_is_kept(
  tmp_path,
):
  def run(directory, **kwargs):
    loop = small_loop(directory, save_every=7, keep_last=1, **kwargs)
    loop.run(9)
    return dict(loop.history.get('eval', 'metrics/loss'))

  # Evaluations are at 1 and all even steps; none is at 7, nor at the end.
  losses = run(tmp_path / 'best', checkpoint_low_metric='loss')
  assert _steps(tmp_path / 'best') == [9, min(losses, key=losses.get)]
  run(tmp_path / 'none')
  assert _steps(tmp_path / 'none') == [9]
  losses = run(tmp_path / 'worst', checkpoint_high_metric='loss')
  assert _steps(tmp_path / 'worst') == [9, max(losses, key=losses.get)]


def test_metrics_are_recorded_at_once_or_not(tmp_path, monkeypatch):
  path = _write(tmp_path, 1, loss=2.0)
  before = folders.verify(path)
  folders.record_metrics(path, {'loss': 1.0})
  after = folders.verify(path)
  assert after['metrics'] == {'loss': 1.0}
  assert folders.identity(after) == folders.identity(before)

  def killed(*paths):
    raise KeyError('as if the process were killed')

  monkeypatch.setattr(os, 'replace', killed)
  with pytest.raises(KeyError):
    folders.record_metrics(path, {'loss': 0.0})
  assert folders.verify(path) == after
  monkeypatch.undo()
  folders.record_metrics(path, {'loss': 0.0})
  saver.link_latest(str(tmp_path), path)
  assert sorted(os.listdir(tmp_path)) == ['a', 'checkpoints', 'latest']


def test_checkpoint_just_written_is_never_pruned(tmp_path):
  _write(tmp_path, 2)
  path = _write(tmp_path, 1)
  folders.prune(str(tmp_path), 1, None, None, written=path)
  assert _steps(tmp_path) == [2, 1]


def test_what_is_set_aside_is_not_removed(tmp_path, capsys):
  for content in (b'1', b'2', b'3'):
    _write(tmp_path, 1, content)
  folder = tmp_path / 'checkpoints'
  assert {
    path.name: (path / 'a').read_bytes() for path in folder.iterdir()
  } == {
    'step_00000001': b'3',
    'unused_step_00000001': b'1',
    'unused_step_00000001_2': b'2',
  }
  lines = capsys.readouterr().err.splitlines()
  assert [line.rpartition('/')[2] for line in lines] == [
    'unused_step_00000001',
    'unused_step_00000001_2',
  ]


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path, monkeypatch):
  write, is_over = folders.write, threading.Event()

  def slow_write(directory, step, *args, **kwargs):
    assert is_over.wait(60)
    return write(directory, step, *args, **kwargs)

  monkeypatch.setattr(folders, 'write', slow_write)
  loop = small_loop(tmp_path, n_steps_per_checkpoint=100)
  steps = []

  def train_one_step(self):
    original(self)
    steps.append((self.step, _steps(tmp_path)))
    if self.step == 5:
      is_over.set()

  original = type(loop)._train_one_step
  monkeypatch.setattr(type(loop), '_train_one_step', train_one_step)
  loop.run(6)
  assert steps[4] == (5, [])  # Step 1 is still being written.
  assert _steps(tmp_path) == [6, 1]
  # What was saved at step 1 is what was there then.
  monkeypatch.undo()
  shutil.rmtree(tmp_path / 'checkpoints/step_00000006')
  resumed = small_loop(tmp_path, n_steps_per_checkpoint=100)
  assert resumed.step == 1
  resumed.run(5)
  assert_same(resumed, loop)


def test_full_disk_is_reported_and_stops_nothing(tmp_path, monkeypatch, capsys):
  write_file, full = folders._write_file, []

  def fails_when_full(path, write):
    if full:
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    return write_file(path, write)

  monkeypatch.setattr(folders, '_write_file', fails_when_full)
  loop = small_loop(tmp_path, n_steps_per_checkpoint=2)
  loop.run(2)
  full.append(True)
  with pytest.raises(
    UserError, match='No space left.*last one is of step 2: make room'
  ):
    loop.run(4)
  assert loop.step == 6
  err = capsys.readouterr().err
  assert 'checkpoint of step 4 cannot be written (No space left' in err
  assert _steps(tmp_path) == [2, 1]
  full.clear()
  resumed = small_loop(tmp_path)
  assert resumed.step == 2
  resumed.run(4)
  assert_same(resumed, loop)
  assert _steps(tmp_path) == [6, 4, 2]


def test_warns_of_a_checkpoint_that_cannot_be_removed(
  tmp_path, monkeypatch, capsys
):
  rmtree = shutil.rmtree

  def fails(path, ignore_errors=False):
    if path.endswith('.writing_step_00000001') and not ignore_errors:
      raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    rmtree(path, ignore_errors)

  monkeypatch.setattr(shutil, 'rmtree', fails)
  small_loop(tmp_path, keep_last=1).run(5)
  left = f'{tmp_path}/checkpoints/.writing_step_00000001'
  (line,) = capsys.readouterr().err.splitlines()
  assert line == (
    'warning: the checkpoint of step 2 is written, but older ones cannot be '
    f'removed ({left}: Permission denied)'
  )
  assert _steps(tmp_path) == [5]
  assert small_loop(tmp_path, keep_last=1).step == 5
  line = f'warning: {left}: cannot be removed (Permission denied)'
  assert line in capsys.readouterr().err.splitlines()


def test_error_that_is_not_the_disks_is_raised(tmp_path, monkeypatch):
  def bug(*args, **kwargs):
    raise KeyError('a bug')

  monkeypatch.setattr(folders, 'prune', bug)
  with pytest.raises(KeyError, match='a bug'):
    small_loop(tmp_path).run(3)


@pytest.mark.parametrize(
  'options, seconds', [({'save_every_minutes': 1}, 25), ({}, 750)]
)
def test_saves_by_time(options, seconds, tmp_path, monkeypatch):
  """By default every 30 minutes."""
  clock = itertools.count(step=seconds)  # Of each batch.
  now = [0]

  def stream():
    for batch in batches():
      now[0] = next(clock)
      yield batch

  monkeypatch.setattr(
    keeper, 'time', types.SimpleNamespace(monotonic=lambda: now[0])
  )
  loop = small_loop(
    tmp_path,
    stream=stream(),
    n_steps_per_checkpoint=6,  # Resets the clock.
    keep_last=9,
    **options,
  )
  loop.run(11)
  assert _steps(tmp_path) == [11, 9, 6, 4, 1]


def test_saver_copies(tmp_path):
  loop = small_loop(tmp_path)
  files = state.snapshot(loop, {})
  (first, *_) = files['model.weights.npy.gz']
  before = first.copy()
  loop.run(1)
  np.testing.assert_array_equal(first, before)
  assert first.flags.owndata
