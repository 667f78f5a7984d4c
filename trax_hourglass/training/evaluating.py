"""Evaluation during training: metrics over all batches of an evaluation."""

from collections.abc import Callable, Iterator

import jax
import numpy as np
from trax.supervised import training

# Losses and metrics of Trax that take weights but are not means weighted by
# them: sums, and means over whole sequences.
_NOT_WEIGHTED_MEANS = {
  'BinaryCrossEntropySum',
  'CrossEntropySum',
  'MaskedSequenceAccuracy',
  'SequenceAccuracy',
  'WeightedSum',
}


def metrics(
  task: training.EvalTask,
  model,
  evaluator,
  new_rng: Callable[[], jax.Array],
  next_batch: Callable[[training.EvalTask], tuple],
) -> dict[str, float]:
  """Returns the metrics of a task over one evaluation.

  Each is the mean over the batches, weighted by their loss weights, so that a
  partly empty batch counts less; metrics that take no weights are weighted by
  the number of targets. A metric is NaN if all weights are zero.

  Args:
    task: One whose data are `Batches`.
    model: The layer to evaluate, with its weights and state.
    evaluator: The evaluator of the task in Trax's loop.
    new_rng: Function that returns the random key of each batch.
    next_batch: Function from the task to its next batch.
  """
  n_metrics = len(task.metrics)
  sums, totals = np.zeros((2, n_metrics))
  for _ in range(task.labeled_data.start_evaluation(task.n_eval_batches)):
    batch = next_batch(task)
    values, _ = evaluator.metrics_fn(
      batch,
      (model.weights, evaluator.weights),
      (model.state, evaluator.state),
      new_rng(),
    )
    values = np.reshape(jax.device_get(values), n_metrics)
    weights = np.array([_weight(model, layer, batch) for layer in task.metrics])
    # A batch whose weights are all zero has NaN for its metrics.
    sums += np.where(weights == 0, 0, weights * values)
    totals += weights
  with np.errstate(invalid='ignore'):
    means = sums / totals
  return dict(zip(task.metric_names, means, strict=True))


def loss_weights_index(model, layer) -> int | None:
  """Returns which of a batch's arrays are the weights that a loss averages by.

  A Trax model takes the first arrays of a batch. A loss or metric takes the
  model's outputs and the remaining arrays: targets, then weights if it has any.

  Args:
    model: Trax layer.
    layer: A loss or metric; `None` is returned if it takes no weights.
  """
  n_arrays = layer.n_in - model.n_out
  if n_arrays < 2 or layer.name in _NOT_WEIGHTED_MEANS:
    return None
  return model.n_in + n_arrays - 1


def _weight(model, layer, batch):
  """Returns the sum of a batch's loss weights, or its number of targets."""
  i = loss_weights_index(model, layer)
  if i is None:
    return np.size(batch[min(model.n_in, len(batch) - 1)])
  return np.sum(batch[i], dtype=np.float64)


def summaries(state) -> Iterator[tuple[str, jax.Array]]:
  """Yields names and values of the summaries in the layers' state.

  As in Trax, these are dictionary entries whose names begin with 'summary_':
  arrays with a leading axis of devices.
  """
  for path, value in jax.tree_util.tree_leaves_with_path(state):
    name = getattr(path[-1], 'key', None) if path else None
    if isinstance(name, str) and name.startswith('summary_'):
      for i, per_device in enumerate(value):
        yield f'device{i}/{name.removeprefix("summary_")}', per_device
