"""A loop that compiles in no time, for tests."""

import itertools

import jax
import numpy as np
from trax import layers as tl
from trax import optimizers
from trax.supervised import training as trax_training

from trax_hourglass.training import Loop

VOCAB_SIZE = 7


def batches(highest=VOCAB_SIZE - 1, after=0, bad=(), seed=0):
  """Yields batches, from a stream that cannot skip.

  Args:
    highest: The highest token.
    after: The number of batches before the first with that token.
    bad: The batches, counted from 0, whose loss is NaN.
    seed: The seed of the tokens.
  """
  rng = np.random.default_rng(seed)
  for i in itertools.count():
    tokens = rng.integers(VOCAB_SIZE, size=(2, 5)).astype(np.int32)
    tokens[1, 2] = highest if i >= after else 0
    weights = np.ones(tokens.shape, np.float32)
    yield tokens, tokens, weights * np.nan if i in bad else weights


def small_loop(
  output_dir=None,
  d_model=3,
  stream=None,
  eval_stream=None,
  optimizer=optimizers.Adam,
  n_steps_per_checkpoint=2,
  loop_class=Loop,
  dropout=0.0,
  lr_schedule=None,
  tasks_of=None,
  n_eval_batches=1,
  **options,
):
  """Returns a loop over a model of an embedding and a dense layer.

  `lr_schedule` is that of Trax's `TrainTask`; the tasks of the loop `tasks_of`
  are used again; `options` are arguments of `Loop`.
  """
  task = trax_training.TrainTask(
    stream or batches(),
    tl.WeightedCategoryCrossEntropy(),
    optimizer(0.1),
    lr_schedule=lr_schedule,
    n_steps_per_checkpoint=n_steps_per_checkpoint,
  )
  eval_task = trax_training.EvalTask(
    eval_stream or batches(),
    [tl.WeightedCategoryCrossEntropy(), tl.WeightedCategoryAccuracy()],
    metric_names=['loss', 'bits_per_byte'],
    n_eval_batches=n_eval_batches,
  )
  model = tl.Serial(
    tl.Embedding(VOCAB_SIZE, d_model),
    [tl.Dropout(dropout)] if dropout else [],
    tl.Dense(VOCAB_SIZE),
  )
  return loop_class(
    model,
    tasks_of.tasks if tasks_of else task,
    eval_tasks=tasks_of.eval_tasks if tasks_of else [eval_task],
    output_dir=output_dir and str(output_dir),
    random_seed=0,
    **options,
  )


def weights(loop):
  return [np.asarray(x) for x in jax.tree.leaves(loop.model.weights)]


def history(loop):
  """Returns the history without times."""
  return {
    (mode, metric): [
      (step, float(x)) for step, x in loop.history.get(mode, metric)
    ]
    for mode in loop.history.modes
    for metric in loop.history.metrics_for_mode(mode)
    if metric != 'training/steps per second'
  }


def assert_same(loop, other):
  """Fails unless two loops trained to the same bits."""
  for x, y in zip(weights(loop), weights(other), strict=True):
    np.testing.assert_array_equal(x, y)
  assert history(loop) == history(other)
