"""A stopped run resumes as if it had not stopped; in Trax's loop, too."""

import itertools
import pickle
import shutil

import numpy as np
import pytest
from trax import layers as tl
from trax.supervised import training as trax_training

from tests.training.small_loop import (
  assert_same,
  batches,
  history,
  small_loop,
  weights,
)
from trax_hourglass.data import streams
from trax_hourglass.errors import UserError
from trax_hourglass.training import find_checkpoint
from trax_hourglass.training.batches import Batches, Streams


def _run(directory, *n_steps, **kwargs):
  """Trains so many steps at a time, each time with a new loop."""
  for n in n_steps:
    loop = small_loop(directory, dropout=0.5, **kwargs)
    loop.run(n)
  return loop


@pytest.mark.parametrize('eval_steps', [[1, 2, 4], [3]])
def test_goes_on_exactly(tmp_path, eval_steps):
  # It is also stopped between evaluations, when sums are half added up.
  at = {'n_steps_per_checkpoint': 4}
  whole = _run(tmp_path / 'whole', 9, **at)
  parts = _run(tmp_path / 'parts', *eval_steps, 9 - sum(eval_steps), **at)
  assert parts.step == 9
  assert_same(parts, whole)
  metric = 'metrics/WeightedCategoryCrossEntropy'
  assert [step for step, _ in history(whole)['train', metric]] == [1, 4, 8]


def test_goes_on_from_a_checkpoint_between_saves(tmp_path):
  whole = _run(tmp_path / 'whole', 7)
  _run(tmp_path / 'killed', 5)
  shutil.rmtree(tmp_path / 'killed/checkpoints/step_00000005')
  killed = _run(tmp_path / 'killed', 3)  # From step 4.
  assert_same(killed, whole)


def test_evaluations_change_nothing(tmp_path):
  often = _run(tmp_path / 'often', 6, n_steps_per_checkpoint=1)
  seldom = _run(tmp_path / 'seldom', 6, n_steps_per_checkpoint=100)
  _run(tmp_path / 'both', 3, n_steps_per_checkpoint=100)
  both = _run(tmp_path / 'both', 3, n_steps_per_checkpoint=1)
  for x, y, z in zip(*map(weights, (often, seldom, both)), strict=True):
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(x, z)


def test_evaluation_stream_goes_on(tmp_path):
  # Every evaluation takes the next batch.
  kwargs = {'n_steps_per_checkpoint': 1}
  whole = _run(tmp_path / 'whole', 4, **kwargs)
  values = [value for _, value in history(whole)['eval', 'metrics/loss']]
  parts = _run(tmp_path / 'parts', 1, 3, **kwargs)
  assert [v for _, v in history(parts)['eval', 'metrics/loss']] == values


def test_stream_that_ends_is_refused(tmp_path):
  _run(tmp_path, 5)
  with pytest.raises(UserError, match='end of the stream after 2 batches'):
    _run(tmp_path, 1, stream=itertools.islice(batches(), 3))


def test_tasks_that_are_used_again_go_on(tmp_path, capsys):
  """As in a notebook's cell that is run twice."""
  loop = _run(tmp_path / 'cells', 4)
  again = _run(tmp_path / 'cells', 2, tasks_of=loop)
  assert_same(again, _run(tmp_path / 'whole', 6))
  # They keep their place also where there is nothing to go on from.
  elsewhere = _run(tmp_path / 'elsewhere', 1, tasks_of=again)
  assert elsewhere.tasks[0].labeled_data.n_drawn == 7
  assert not capsys.readouterr().err


def _truncate(path):
  path.write_bytes(path.read_bytes()[:-10])


def _flip_a_bit(path):
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 16
  path.write_bytes(content)


def _remove(path):
  path.unlink()


@pytest.mark.parametrize('damage', [_truncate, _flip_a_bit, _remove])
def test_damaged_checkpoint_is_passed_over(tmp_path, damage, capsys):
  _run(tmp_path, 4)  # Saved at 1, 2, 4.
  newest = tmp_path / 'checkpoints/step_00000004'
  names = {path.name for path in newest.iterdir()}
  assert names == {
    'manifest.json',
    'model.opt_slots0.npy.gz',
    'model.pkl.gz',
    'model.weights.npy.gz',
  }
  for name in sorted(names):
    directory = tmp_path / f'damaged {name}'
    shutil.copytree(tmp_path / 'checkpoints', directory / 'checkpoints')
    damage(directory / 'checkpoints/step_00000004' / name)
    before = directory / 'checkpoints/step_00000002/model.pkl.gz'
    assert find_checkpoint(str(directory)) == str(before)
    capsys.readouterr()
    assert small_loop(directory, dropout=0.5).step == 2
    (line,) = [
      line for line in capsys.readouterr().err.splitlines() if 'damaged' in line
    ]
    assert line.startswith(
      f'warning: checkpoint {directory}/checkpoints/step_00000004 is damaged '
      f'({name}: '
    )
    assert line.endswith('using that of step 2')


def test_all_damaged_is_an_error(tmp_path):
  _run(tmp_path, 2)
  for path in tmp_path.glob('checkpoints/*/model.weights.npy.gz'):
    _flip_a_bit(path)
  for use in (find_checkpoint, small_loop):
    with pytest.raises(UserError, match='all in .* are damaged: step 2 .*SHA'):
      use(str(tmp_path))
  with pytest.raises(UserError, match='step_00000002: is damaged'):
    find_checkpoint(str(tmp_path / 'checkpoints/step_00000002'))


def test_damaged_checkpoint_does_not_count_as_one_of_the_last(tmp_path):
  _run(tmp_path, 4, keep_last=1)
  _run(tmp_path, 1, keep_last=1)
  assert [path.name for path in (tmp_path / 'checkpoints').iterdir()] == [
    'step_00000005'
  ]
  shutil.copytree(
    tmp_path / 'checkpoints/step_00000005',
    tmp_path / 'checkpoints/step_00000009',
  )
  _truncate(tmp_path / 'checkpoints/step_00000009/model.pkl.gz')
  _run(tmp_path, 1, keep_last=1)
  assert small_loop(tmp_path, dropout=0.5).step == 6


def test_step_folder_is_a_checkpoint_of_trax(tmp_path):
  loop = small_loop(tmp_path)
  loop.run(3)
  folder = tmp_path / 'checkpoints/step_00000003'
  for path in (folder, tmp_path, tmp_path / 'latest'):
    model = tl.Serial(tl.Embedding(7, 3), tl.Dense(7))
    model.init_from_file(str(path / 'model.pkl.gz'), weights_only=True)
    for x, y in zip(
      weights(loop),
      tl.flatten_weights_and_state(model.weights, model.state)[0],
      strict=True,
    ):
      np.testing.assert_array_equal(x, y)


def test_loop_of_trax_goes_on_from_ours_and_back(tmp_path, capsys):
  ours = small_loop(tmp_path)
  ours.run(3)
  trax = small_loop(tmp_path, loop_class=trax_training.Loop)
  assert trax.step == 3
  assert history(trax) == history(ours)
  for x, y in zip(weights(trax), weights(ours), strict=True):
    np.testing.assert_array_equal(x, y)
  trax.run(3)  # It saves at 4 and 6.
  capsys.readouterr()
  back = small_loop(tmp_path)
  assert back.step == 6
  assert 'does not say where its streams' in capsys.readouterr().err
  for x, y in zip(weights(trax), weights(back), strict=True):
    np.testing.assert_array_equal(x, y)
  back.run(1)
  assert small_loop(tmp_path, loop_class=trax_training.Loop).step == 7


def test_refuses_trax_counters_that_are_not_numbers(tmp_path):
  (tmp_path / 'data_counters0.pkl').write_bytes(pickle.dumps({'a': print}))
  with pytest.raises(UserError, match='data_counters0.pkl: got builtins.print'):
    small_loop(tmp_path)
  (tmp_path / 'data_counters0.pkl').write_bytes(pickle.dumps({'a': 1}))
  small_loop(tmp_path)


def _examples(batch_size):
  """Yields batches of consecutive examples: 0 1 2 ..., each with its number."""
  for first in itertools.count(step=batch_size):
    tokens = np.arange(first, first + batch_size, dtype=np.int32)[:, None]
    yield tokens % 7, tokens % 7, np.ones(tokens.shape, np.float32)


def _package_stream(batch_size):
  return streams.Stream(
    streams.Shuffled(35, batch_size, seed=1),
    lambda i: (i[:, None] % 7, i[:, None] % 7, np.ones((len(i), 1), 'f')),
  )


def _tokens(stream, n):
  return np.concatenate([next(stream)[0] for _ in range(n)])[:, 0]


@pytest.mark.parametrize('make', [_package_stream, _examples])
def test_another_batch_size_goes_on_with_the_next_example(
  tmp_path, make, capsys
):
  at = {'n_steps_per_checkpoint': 100}
  small_loop(tmp_path, stream=make(4), **at).run(5)  # To example 24.
  loop = small_loop(tmp_path, stream=make(6), **at)
  line = 'training stream: the batch size is 6 now; going on with example 24'
  assert line in capsys.readouterr().err
  expected = _tokens(make(1), 60)
  data = loop.tasks[0].labeled_data
  np.testing.assert_array_equal(_tokens(data, 2), expected[24:36])
  loop.run(2)  # To example 48, two batches having been drawn before.
  resumed = small_loop(tmp_path, stream=make(3), **at)
  data = resumed.tasks[0].labeled_data
  np.testing.assert_array_equal(_tokens(data, 2), expected[48:54])


def test_an_evaluation_that_starts_over_has_no_position_to_warn_of(capsys):
  stream = streams.Repeated(lambda: iter([batches()]), 1)
  data = Batches(stream, batch_size=8)
  data.seek(n_drawn=1, n_examples=4, batch_size=2)
  assert not capsys.readouterr().err


def test_batch_size_that_does_not_divide_the_position(tmp_path, capsys):
  at = {'n_steps_per_checkpoint': 100}
  small_loop(tmp_path, stream=_package_stream(4), **at).run(5)
  loop = small_loop(tmp_path, stream=_package_stream(5), **at)
  expected = _tokens(_package_stream(1), 60)
  data = loop.tasks[0].labeled_data
  np.testing.assert_array_equal(_tokens(data, 2), expected[24:34])
  loop.run(1)  # To example 39.
  assert 'batch size is 5 now' in capsys.readouterr().err
  loop = small_loop(tmp_path, stream=_package_stream(5), **at)
  data = loop.tasks[0].labeled_data
  np.testing.assert_array_equal(_tokens(data, 2), expected[39:49])
  assert 'batch size' not in capsys.readouterr().err
  small_loop(tmp_path / 'b', stream=_examples(4), **at).run(5)
  capsys.readouterr()
  loop = small_loop(tmp_path / 'b', stream=_examples(5), **at)
  assert '4 examples come again' in capsys.readouterr().err
  np.testing.assert_array_equal(
    _tokens(loop.tasks[0].labeled_data, 1), np.arange(20, 25) % 7
  )


def test_checkpoint_of_an_earlier_version_resumes(tmp_path, monkeypatch):
  """It counts batches alone."""
  positions = Streams.positions

  def earlier(self):
    found = positions(self)
    del found['positions']
    return found

  monkeypatch.setattr(Streams, 'positions', earlier)
  parts = _run(tmp_path / 'parts', 3, 4)
  assert_same(parts, _run(tmp_path / 'whole', 7))


class _Stateful:
  """A stream that cannot be drawn again, but says where it is."""

  def __init__(self, state=0):
    self._state = state
    self._shared = {}

  def __next__(self):
    tokens = np.full((2, 3), self._state % 7, np.int32)
    self._state += 1
    return tokens, tokens, np.ones(tokens.shape, np.float32)

  def get_state(self):
    self._shared['next'] = self._state
    self._shared[3] = None  # Keys of two types have no order.
    return self._shared

  def set_state(self, state):
    self._state = state['next']


def test_streams_with_a_state_are_restored(tmp_path, capsys):
  loop = small_loop(tmp_path, stream=_Stateful())
  loop.run(3)
  # Drawn, but not trained on.
  next(loop.tasks[0].labeled_data)
  resumed = small_loop(tmp_path, stream=_Stateful(state=50))
  assert next(resumed.tasks[0].labeled_data)[0][0, 0] == 4
  assert 'training stream' not in capsys.readouterr().err


def test_refuses_a_state_that_cannot_be_saved():
  class Stream(_Stateful):
    def get_state(self):
      return np.random.default_rng(0)

  with pytest.raises(UserError, match='training stream: its get_state return'):
    small_loop(stream=Stream())
