"""Tests of losses that are not finite."""

import numpy as np
import pytest
from trax import layers as tl
from trax import optimizers
from trax.supervised import callbacks

from tests.training.small_loop import (
  VOCAB_SIZE,
  batches,
  history,
  small_loop,
  weights,
)
from trax_hourglass.errors import UserError


@pytest.mark.parametrize('every', [1, 2])
def test_ends_the_run_and_leaves_the_last_good_checkpoint(tmp_path, every):
  loop = small_loop(
    tmp_path, stream=batches(bad={4}), n_steps_per_checkpoint=every
  )
  last = tmp_path / f'checkpoints/step_{(4 - every):08}'
  with pytest.raises(
    UserError, match=rf'step 4: loss nan, with batch 4 .* is {last}; lower'
  ):
    loop.run(9)
  # The step after the next is not even begun.
  assert loop.step <= 5
  resumed = small_loop(tmp_path, stream=batches())
  assert resumed.step == 4 - every
  assert all(np.isfinite(x).all() for x in weights(resumed))


def test_ends_the_run_at_its_last_step(tmp_path):
  loop = small_loop(tmp_path, stream=batches(bad={3}))
  with pytest.raises(UserError, match='step 3: loss nan'):
    loop.run(3)
  assert small_loop(tmp_path).step == 2


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
  # The loss before the update, and its gradients, are finite.
  loop = small_loop(tmp_path, optimizer=lambda _: optimizers.SGD(np.inf))
  with pytest.raises(UserError, match='a weight after step 1 is not finite'):
    loop.run(1)
  assert not list(tmp_path.glob('checkpoints/step*'))


def test_skips_batches(tmp_path, capsys):
  def without(bad):
    return (x for i, x in enumerate(batches()) if i not in bad)

  sgd = {'optimizer': optimizers.SGD, 'n_steps_per_checkpoint': 100}
  bad = {2, 5}
  loop = small_loop(
    tmp_path, stream=batches(bad=bad), skip_nonfinite=True, **sgd
  )
  loop.run(3)
  loop = small_loop(
    tmp_path, stream=batches(bad=bad), skip_nonfinite=True, **sgd
  )
  loop.run(5)
  expected = small_loop(stream=without(bad), skip_nonfinite=True, **sgd)
  expected.run(6)
  for x, y in zip(weights(loop), weights(expected), strict=True):
    np.testing.assert_array_equal(x, y)
  err = capsys.readouterr().err
  assert 'step 2: loss nan; batch 2 skipped, 1 skipped so far' in err
  assert 'step 5: loss nan; batch 5 skipped, 2 skipped so far' in err


def test_ends_the_run_if_too_many_batches_are_skipped(tmp_path):
  def loop(bad):
    return small_loop(
      tmp_path,
      stream=batches(bad=bad),
      skip_nonfinite=True,
      max_skipped_in_a_row=2,
      n_steps_per_checkpoint=2,
    )

  loop({1, 2, 4}).run(4)  # Not in a row.
  loop({5}).run(1)
  last = tmp_path / 'checkpoints/step_00000005'
  # Those before the checkpoint count.
  with pytest.raises(
    UserError,
    match=rf'step 6: loss nan, with batch 6 .*, after 2 .* is {last}; lower',
  ):
    loop({6}).run(3)


@pytest.mark.parametrize('skip_nonfinite', [False, True])
def test_evaluated_model_is_always_the_trained_one(skip_nonfinite):
  """In callbacks, between evaluations, and after an error."""
  tokens = next(batches())[0]

  class Callback(callbacks.TrainingStepCallback):
    def call_at(self, step):
      return step > 1

    def on_step_begin(self, step):
      logits = self._loop.eval_model(tokens)
      np.testing.assert_array_equal(logits, self._loop.model(tokens))

    def on_step_end(self, step):
      self.on_step_begin(step)
      if step == 4:
        raise OSError('of a callback')

  loop = small_loop(
    skip_nonfinite=skip_nonfinite,
    n_steps_per_checkpoint=100,
    callbacks=[Callback],
    eval_model=tl.Serial(tl.Embedding(VOCAB_SIZE, 3), tl.Dense(VOCAB_SIZE)),
  )
  loop.run(3)
  with pytest.raises(UserError, match='OSError: of a callback'):
    loop.run(2)
  assert loop.step == 4
  logits = loop.eval_model(tokens)
  np.testing.assert_array_equal(logits, loop.model(tokens))


def test_skipped_batches_are_in_the_history_and_not_in_the_mean():
  loop = small_loop(stream=batches(bad={2, 3}), skip_nonfinite=True)
  loop.run(4)
  values = history(loop)
  assert values['train', 'training/skipped batches'] == [(2, 1), (4, 2)]
  losses = dict(values['train', 'metrics/WeightedCategoryCrossEntropy'])
  assert np.isfinite(losses[4])


def test_finite_batches_train_alike_with_skipping():
  loops = [small_loop(skip_nonfinite=skip) for skip in (False, True)]
  for loop in loops:
    loop.run(3)
  for x, y in zip(*map(weights, loops), strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-6)  # Two programs of XLA.


@pytest.mark.parametrize(
  'options',
  [
    {'skip_nonfinite': 1},
    {'max_skipped_in_a_row': 0},
    {'keep_last': 0},
    {'save_every': 0.5},
    {'save_every_minutes': 0},
    {'save_every_minutes': '5'},
  ],
)
def test_refuses_options(options):
  with pytest.raises(UserError, match=next(iter(options))):
    small_loop(**options)
