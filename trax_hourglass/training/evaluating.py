"""Evaluation during training: metrics over all batches together."""

from collections.abc import Callable, Iterator

import jax
import numpy as np

from trax_hourglass.training import loss_weights


def metrics(task, model, metrics_fn: Callable) -> dict[str, float]:
  """Returns the metrics of a task over one evaluation.

  Each is the mean over the batches, weighted by their loss weights, so that a
  partly empty batch counts less; metrics that take no weights are weighted by
  the number of targets. A metric is NaN if all weights are zero.

  Args:
    task: A `trax.supervised.training.EvalTask` whose data are `Batches`.
    model: Trax layer, whose outputs the metrics take.
    metrics_fn: Function from a batch to the values of the task's metrics.
  """
  n_metrics = len(task.metrics)
  sums, totals = np.zeros((2, n_metrics))
  for batch in task.labeled_data.evaluation(task.n_eval_batches):
    values = np.reshape(jax.device_get(metrics_fn(batch)), n_metrics)
    weights = np.array(
      [loss_weights.total(model, layer, batch) for layer in task.metrics]
    )
    # A batch whose weights are all zero has NaN for its metrics.
    sums += np.where(weights == 0, 0, weights * values)
    totals += weights
  with np.errstate(invalid='ignore'):
    means = sums / totals
  return dict(zip(task.metric_names, means, strict=True))


def summaries(state) -> Iterator[tuple[str, jax.Array]]:
  """Yields names and values of the summaries in the layers' state.

  As in Trax, these are dictionary entries whose names begin with 'summary_':
  arrays with a leading axis of devices.
  """
  for path, value in jax.tree_util.tree_leaves_with_path(state):
    name = getattr(path[-1], 'key', None) if path else None
    if isinstance(name, str) and name.startswith('summary_'):
      for device, of_device in enumerate(value):
        yield f'device{device}/{name.removeprefix("summary_")}', of_device
