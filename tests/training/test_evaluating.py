"""Tests of evaluation during training: each token counts once, and equally."""

import itertools

import jax
import numpy as np
import pytest
from trax import layers as tl
from trax import optimizers
from trax.supervised import training as trax_training

from tests.training import small_loop
from trax_hourglass.data import images, text
from trax_hourglass.training import evaluating
from trax_hourglass.training.batches import Batches
from trax_hourglass.training.checkpoints import state

VOCAB_SIZE = small_loop.VOCAB_SIZE


def _batches(*n_full):
  """Yields batches of 4 sequences, of which `n_full` have a weight of 1."""
  rng = np.random.default_rng(2)
  for n in n_full:
    tokens = rng.integers(VOCAB_SIZE, size=(4, 5)).astype(np.int32)
    weights = np.ones((4, 5), np.float32)
    weights[n:] = 0
    yield tokens, tokens, weights


def _model():
  model = tl.Serial(tl.Embedding(VOCAB_SIZE, 3), tl.Dense(VOCAB_SIZE))
  model.init(next(_batches(4))[0])
  return model


def _metrics(model, batches, *layers, task_class=trax_training.EvalTask):
  """Returns the layers' means over the batches, as a loop computes them."""
  batches = list(batches)
  task = task_class(
    Batches(iter(batches)),
    layers,
    n_eval_batches=len(batches),
    sample_batch=batches[0],
  )
  with_metrics = trax_training._model_with_metrics(model, task)
  evaluator = trax_training._Evaluator(
    weights=with_metrics.weights[1],
    state=with_metrics.state[1],
    metrics_fn=jax.jit(with_metrics.pure_fn),
  )
  return evaluating.metrics(
    task, model, evaluator, lambda: None, task_class.next_batch
  )


@pytest.fixture(scope='module')
def model():
  return _model()


def _token_losses(model, batches):
  """Returns the cross-entropy and correctness of each token with a weight.

  Computed over all batches together.
  """
  tokens, _, weights = map(np.concatenate, zip(*batches, strict=True))
  logits = np.asarray(model(tokens), np.float64)
  log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  nats = -np.take_along_axis(log_probs, tokens[..., None], -1)[..., 0]
  is_right = logits.argmax(-1) == tokens
  return nats[weights > 0], is_right[weights > 0]


@pytest.mark.parametrize('n_full', [(4, 1), (4, 4, 2, 0), (4, 4)])
def test_is_the_mean_over_tokens(model, n_full):
  batches = list(_batches(*n_full))
  nats, is_right = _token_losses(model, batches)
  found = _metrics(
    model,
    batches,
    tl.WeightedCategoryCrossEntropy(),
    tl.WeightedCategoryAccuracy(),
  )
  assert found['WeightedCategoryCrossEntropy'] == pytest.approx(nats.mean())
  assert found['WeightedCategoryAccuracy'] == pytest.approx(is_right.mean())


def test_metrics_without_weights_count_targets(model):
  full, part = _batches(4, 4)
  batches = [full[:2], tuple(x[:1] for x in part[:2])]
  counted = [full, (*batches[1], np.ones((1, 5), np.float32))]
  nats, _ = _token_losses(model, counted)
  found = _metrics(model, batches, tl.CategoryCrossEntropy())
  assert found['CategoryCrossEntropy'] == pytest.approx(nats.mean())


def test_sums_are_averaged_over_batches(model):
  batches = list(_batches(4, 1))
  found = _metrics(model, batches, tl.CrossEntropySum())
  each = [_metrics(model, [b], tl.CrossEntropySum()) for b in batches]
  expected = np.mean([values['CrossEntropySum'] for values in each])
  assert found['CrossEntropySum'] == pytest.approx(expected)


def test_without_any_weight_metrics_are_nan(model):
  found = _metrics(model, _batches(0, 0), tl.WeightedCategoryCrossEntropy())
  assert np.isnan(found['WeightedCategoryCrossEntropy'])


class _FirstSequence(trax_training.EvalTask):
  """A task that prepares its batches: all but one sequence are left out."""

  def next_batch(self):
    return tuple(array[:1] for array in super().next_batch())


def test_a_task_prepares_its_batches(model):
  batches = list(_batches(4, 4))
  nats, _ = _token_losses(model, [[x[:1] for x in one] for one in batches])
  found = _metrics(
    model,
    batches,
    tl.WeightedCategoryCrossEntropy(),
    task_class=_FirstSequence,
  )
  assert found['WeightedCategoryCrossEntropy'] == pytest.approx(nats.mean())


def test_loop_chooses_its_best_by_tokens(tmp_path):
  """History and checkpoint hold the mean over tokens."""
  batches = list(_batches(4, 1))
  loop = small_loop.small_loop(
    tmp_path,
    eval_stream=itertools.chain(batches[:1], itertools.cycle(batches)),
    n_eval_batches=2,
  )
  loop.run(1)
  nats, _ = _token_losses(loop.eval_model, batches)
  [(step, loss)] = loop.history.get('eval', 'metrics/loss')
  assert (step, loss) == (1, pytest.approx(nats.mean()))
  assert state.metrics_of_step(loop)['loss'] == pytest.approx(nats.mean())


def _text_stream(eval_batches):
  """Returns 5 batches of 2 windows of 5 bytes, the last one partly empty."""
  content = np.arange(940, dtype=np.uint64) * 3 % VOCAB_SIZE
  content = text.Text.from_bytes('t', content.astype(np.uint8).tobytes())
  inputs = text.text_inputs(content, 5, 2, eval_batches=eval_batches)
  return inputs.eval_stream(1)


def _image_stream(eval_batches):
  """Returns 3 batches of 2 images, the last one partly empty."""
  array = np.random.default_rng(0).integers(VOCAB_SIZE, size=(5, 1, 3, 3))
  splits = dict.fromkeys(('train', 'validation'), array.astype(np.uint8))
  inputs = images.image_inputs(
    images.Images.from_arrays('i', **splits), 2, eval_batches=eval_batches
  )
  return inputs.eval_stream(1)


@pytest.mark.parametrize(
  ('make_stream', 'n_batches'), [(_text_stream, 5), (_image_stream, 3)]
)
@pytest.mark.parametrize('n_more', [-1, 0, 1, 20])
@pytest.mark.parametrize('is_limited', [False, True])
def test_every_evaluation_sees_the_same(
  make_stream, n_batches, n_more, is_limited, capsys
):
  """For any number of batches given to the stream and to the loop."""
  n = n_batches + n_more
  stream = make_stream(n if is_limited else None)
  loop = small_loop.small_loop(
    eval_stream=stream, n_eval_batches=n, n_steps_per_checkpoint=1
  )
  task = loop.eval_tasks[0]
  seen = []
  for _ in range(3):
    n_taken = task.labeled_data.start_evaluation(n)
    seen.append([task.next_batch() for _ in range(n_taken)])
  assert [len(one) for one in seen] == [min(n, n_batches)] * 3
  expected = list(itertools.islice(make_stream(None), min(n, n_batches)))
  for evaluation in seen:
    for batch, other in zip(evaluation, expected, strict=True):
      for x, y in zip(batch, other, strict=True):
        np.testing.assert_array_equal(x, y)
  warning = (
    f'warning: evaluation: got {n} batches (train.eval_steps), but the data '
    f'has {n_batches}; each evaluation uses all of them once\n'
  )
  assert capsys.readouterr().err == (warning if n_more > 0 else '')


def test_the_loop_evaluates_on_the_same_batches():
  """At learning rate zero all evaluations give the same loss."""
  loop = small_loop.small_loop(
    eval_stream=_text_stream(None),
    n_eval_batches=3,
    n_steps_per_checkpoint=1,
    optimizer=lambda _: optimizers.SGD(0.0),
  )
  loop.run(4)
  losses = [x for _, x in loop.history.get('eval', 'metrics/loss')]
  assert len(losses) == 4
  assert len(set(losses)) == 1
