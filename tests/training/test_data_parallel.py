"""Tests that 2 and 8 simulated devices train and evaluate as one does."""

import pickle

import numpy as np
import pytest

from tests.training import data_parallel_child


@pytest.fixture(scope='module')
def found(several_devices):
  """Results of one process on 1, 2 and 8 devices."""
  process, path = several_devices
  assert process.wait() == 0
  return pickle.loads(path.read_bytes())


@pytest.mark.parametrize('n_devices', [2, 8])
@pytest.mark.parametrize('name', ['losses', 'eval_losses', 'accuracies'])
def test_losses_are_the_same_as_on_one_device(found, n_devices, name):
  one, several = found[1][name], found[n_devices][name]
  assert len(one) == data_parallel_child.N_STEPS
  np.testing.assert_allclose(several, one, rtol=1e-5)


@pytest.mark.parametrize('n_devices', [2, 8])
def test_weights_are_the_same_as_on_one_device(found, n_devices):
  one, several = found[1]['weights'], found[n_devices]['weights']
  for x, y in zip(several, one, strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('n_devices', [2, 8])
@pytest.mark.parametrize('what', ['accumulated', 'resumed'])
def test_accumulates_gradients_and_resumes(found, n_devices, what):
  one, several = (found[n][what] for n in (1, n_devices))
  assert len(one['losses']) == 3
  np.testing.assert_allclose(several['losses'], one['losses'], rtol=1e-5)
  for x, y in zip(several['weights'], one['weights'], strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('n_devices', [1, 2, 8])
def test_skips_what_is_not_finite(found, n_devices):
  steps = found[n_devices]['skipped']
  for one, first, second, third in zip(
    found[1]['skipped'][2], *steps, strict=True
  ):
    np.testing.assert_array_equal(second, first)
    assert not np.array_equal(third, second)
    np.testing.assert_allclose(third, one, rtol=1e-5, atol=1e-6)


def test_one_device_goes_on_from_eight(found, several_devices):
  _, path = several_devices
  loop = data_parallel_child.make_loop(
    data_parallel_child.tiny(), output_dir=f'{path}_8'
  )
  assert loop.step == 3
  weights = data_parallel_child.flat_weights(loop.model)
  for x, y in zip(weights, found[8]['resumed']['weights'], strict=True):
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize('n_devices', [2, 8])
def test_scores_every_token_once(found, n_devices):
  """In batches of 3 windows, which the devices cannot share evenly."""
  bits, n = found[n_devices]['score']
  assert n == 45
  assert bits == pytest.approx(found[1]['score'][0], rel=1e-5)


@pytest.mark.parametrize('n_devices', [1, 2, 8])
def test_update_is_compiled_once(found, n_devices):
  assert found[n_devices]['n_compiled'] == 1


def test_devices_draw_for_themselves(found):
  drawn, masks, mask, *_ = found['draws']
  assert len(set(drawn.tolist())) == 8
  assert len({tuple(row) for row in masks}) == 8
  np.testing.assert_array_equal(mask, masks[0])


def test_loss_is_the_mean_state_the_first_and_signal_the_highest(found):
  *_, state, signal, loss = found['draws']
  assert state == 7
  assert signal == 15
  assert loss == np.mean(np.arange(8))


def test_devices_only_sum(found):
  counts = found['collectives']
  assert counts.pop('all_reduce') > 0
  assert set(counts.values()) == {0}


def test_donation_leaves_what_was_copied(found):
  for source in found['sources']:
    np.testing.assert_array_equal(source, np.arange(5))


@pytest.mark.parametrize(
  ('n_devices', 'name', 'message'),
  [
    (
      2,
      'batch_size',
      'batch_size: got 9, expected a multiple of the 2 devices, such as 8 or '
      '10',
    ),
    (
      8,
      'batch_size',
      'batch_size: got 9, expected a multiple of the 8 devices, such as 8 or '
      '16',
    ),
    (8, 'adasum', 'adasum: got True with 8 devices, expected a single one; '),
    (8, 'n_devices', 'num_devices: got 9, expected 8, '),
  ],
)
def test_refuses_at_once(found, n_devices, name, message):
  assert found[n_devices]['refusals'][name].startswith(message)
