"""Tests of summaries for TensorBoard, also on a full disk."""

import contextlib
import glob
import shutil

import pytest
import tensorflow as tf
from trax import jaxboard

from tests.training.small_loop import assert_same, batches, small_loop
from trax_hourglass.training import summaries


def _files(folder):
  return sorted(glob.glob(f'{folder}/**/events.out.tfevents.*', recursive=True))


def _events_before_damage(path):
  """Returns the numbers in an event file, up to an incomplete record."""
  numbers = []
  with contextlib.suppress(tf.errors.DataLossError):
    for event in tf.compat.v1.train.summary_iterator(path):
      numbers += [value.simple_value for value in event.summary.value]
  return numbers


def test_writes_what_trax_does(tmp_path):
  found = []
  for writer_class in (summaries.SummaryWriter, jaxboard.SummaryWriter):
    folder = tmp_path / writer_class.__module__
    writer = writer_class(str(folder))
    writer.scalar('loss', 1.5, step=3)
    writer.text('gin_config', 'a = 1')
    writer.image('mask', [[0.0, 1.0]], step=4)
    writer.close()
    (path,) = _files(folder)
    events = list(tf.compat.v1.train.summary_iterator(path))
    for event in events:
      event.ClearField('wall_time')
      event.ClearField('source_metadata')
    found.append(events)
  assert found[0] == found[1]
  assert found[0][0].file_version == 'brain.Event:2'


def _killed_run(folder):
  """Trains to step 6, steps 4 and 5 twice, as after a kill."""
  loop = small_loop(folder, n_steps_per_checkpoint=1, keep_last=9)
  loop.run(5)
  for step in (4, 5):
    shutil.rmtree(folder / f'checkpoints/step_{step:08}')
  loop = small_loop(folder, n_steps_per_checkpoint=1)
  assert loop.step == 3
  loop.run(1)
  loop.run(2)
  return loop


@pytest.fixture(scope='module')
def killed(tmp_path_factory):
  folder = tmp_path_factory.mktemp('killed')
  return folder, _killed_run(folder)


def test_a_run_says_where_it_starts(killed):
  folder, _ = killed
  for kind in ('train', 'eval'):
    found = []
    for path in _files(folder / kind):
      events = list(tf.compat.v1.train.summary_iterator(path))
      found.append([e.step for e in events if e.HasField('session_log')])
      assert events[1].session_log.status == tf.compat.v1.SessionLog.START
    assert found == [[1], [4], [5]]


def test_tensorboard_shows_every_step_once(killed):
  folder, loop = killed
  event_accumulator = pytest.importorskip(
    'tensorboard.backend.event_processing.event_accumulator'
  )
  for kind, tag in (
    ('train', 'metrics/WeightedCategoryCrossEntropy'),
    ('eval', 'metrics/loss'),
  ):
    shown = event_accumulator.EventAccumulator(str(folder / kind))
    shown.Reload()
    points = [(event.step, event.value) for event in shown.Scalars(tag)]
    assert [step for step, _ in points] == [1, 2, 3, 4, 5, 6]
    expected = loop.history.get(kind, tag)
    assert points == [(step, pytest.approx(x)) for step, x in expected]


def test_an_evaluation_that_was_interrupted_is_shown_once(tmp_path):
  """Summaries of a step that is evaluated again are replaced."""
  loop = small_loop(tmp_path, n_steps_per_checkpoint=1)
  loop.run(1)
  loop._progress.sums.is_eval_due = True
  loop.run(0)
  for kind in ('train', 'eval'):
    path = _files(tmp_path / kind)[-1]
    _, start, *_ = tf.compat.v1.train.summary_iterator(path)
    assert start.session_log.status == tf.compat.v1.SessionLog.START
    assert start.step == 1


def test_a_start_that_could_not_be_written_is_written_later(tmp_path, disk):
  writer = summaries.SummaryWriter(str(tmp_path))
  writer.start(7)
  disk(0)
  writer.scalar('loss', 1.0, 7)
  writer.flush()
  disk()
  writer.scalar('loss', 1.0, 8)
  writer.scalar('loss', 1.0, 9)
  writer.close()
  (path,) = _files(tmp_path)
  events = list(tf.compat.v1.train.summary_iterator(path))
  assert [event.step for event in events] == [0, 7, 8, 9]


def test_full_disk_is_reported_once_and_stops_nothing(tmp_path, disk, capsys):
  writer = summaries.SummaryWriter(str(tmp_path / 'train'))

  def write(step):
    writer.scalar('loss', 2.0 * step, step)
    writer.flush()

  write(1)
  disk(50)
  for step in (2, 3, 4):
    write(step)
  (line,) = capsys.readouterr().err.splitlines()
  assert line == (
    f'warning: summaries cannot be written to {tmp_path}/train (File too '
    'large); training goes on without them'
  )
  disk()
  write(5)
  writer.close()
  found = [_events_before_damage(path) for path in _files(tmp_path / 'train')]
  assert found == [[2.0], [10.0]]


def test_full_disk_leaves_no_empty_files(tmp_path, disk, capsys):
  writer = summaries.SummaryWriter(str(tmp_path / 'train'))
  disk(0)
  writer.scalar('loss', 1.0, 1)
  writer.close()
  disk()
  assert 'summaries cannot be written' in capsys.readouterr().err
  assert not _files(tmp_path)


def test_a_file_in_place_of_the_folder_stops_nothing(tmp_path, capsys):
  (tmp_path / 'train').touch()
  writer = summaries.SummaryWriter(str(tmp_path / 'train'))
  writer.scalar('loss', 1.0, 1)
  writer.close()
  assert '/train (File exists); training goes on' in capsys.readouterr().err


def test_loop_goes_on_while_the_disk_is_full(tmp_path, disk, capsys):
  def stream():
    for i, batch in enumerate(batches()):
      if i == 3:  # Before the step of this number.
        disk(0)
      if i == 6:
        loop._keeper._saver.wait()
        disk()
      yield batch

  loop = small_loop(tmp_path / 'full', stream=stream())
  loop.run(7)
  err = capsys.readouterr().err
  assert err.count('summaries cannot be written') == 2  # Of both kinds.
  assert 'checkpoint of step 4 cannot be written (File too large)' in err
  whole = small_loop(tmp_path / 'whole')
  whole.run(7)
  assert_same(loop, whole)
  assert_same(small_loop(tmp_path / 'full'), whole)
