"""The weights in a batch by which a loss or metric averages.

A Trax model takes the first arrays of a batch. A loss or metric takes the
model's outputs and the remaining arrays: targets, then weights if it has any.
"""

import numpy as np

# Losses and metrics of Trax that take weights but are not means weighted by
# them: sums, and means over whole sequences.
_NO_MEANS = {
  'BinaryCrossEntropySum',
  'CrossEntropySum',
  'MaskedSequenceAccuracy',
  'SequenceAccuracy',
  'WeightedSum',
}


def index(model, layer) -> int | None:
  """Returns the index of a batch's weights, `None` if `layer` takes none.

  Args:
    model: Trax layer.
    layer: A loss or metric that takes the model's outputs.
  """
  n_arrays = layer.n_in - model.n_out
  if n_arrays < 2 or layer.name in _NO_MEANS:
    return None
  return model.n_in + n_arrays - 1


def total(model, layer, batch) -> float:
  """Returns the weight of a batch: the sum of its loss weights.

  If `layer` takes none, that is the number of targets.

  Args:
    model: Trax layer.
    layer: A loss or metric that takes the model's outputs.
    batch: The batch's arrays.
  """
  i = index(model, layer)
  if i is None:
    return np.size(batch[min(model.n_in, len(batch) - 1)])
  return np.sum(batch[i], dtype=np.float64)
