"""Restoring of a loop's state if a step or an evaluation fails."""

import contextlib


@contextlib.contextmanager
def step_undone_on_error(loop):
  """Restores a loop's step, random key and layers if the body raises.

  A layer whose trace fails would keep the tracers it was given as weights.
  """
  model, eval_model = loop.model, loop.eval_model
  before = loop._step, loop._rng, model.weights, model.state
  try:
    yield
  except BaseException:
    loop._step, loop._rng, model.weights, model.state = before
    eval_model.weights, eval_model.state = model.weights, model.state
    raise


@contextlib.contextmanager
def history_undone_on_error(history):
  """Removes the entries that the body has added to a history if it raises."""
  before = {
    (mode, metric): len(history.get(mode, metric))
    for mode in history.modes
    for metric in history.metrics_for_mode(mode)
  }
  try:
    yield
  except BaseException:
    for mode, metrics in history._values.items():
      for metric in list(metrics):
        del metrics[metric][before.get((mode, metric), 0) :]
        if not metrics[metric]:
          del metrics[metric]
    raise
