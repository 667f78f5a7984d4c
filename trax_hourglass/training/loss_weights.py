"""How much a batch counts in a loss or metric: by the weights that it takes.

A model of Trax takes the first arrays of a batch; what a loss or metric takes
besides the model's outputs are the arrays that follow: targets, and weights, if
it takes any.
"""

import numpy as np

# Those of Trax that take weights, but are no mean by them: sums, and means over
# whole sequences.
_NO_MEANS = {
  'BinaryCrossEntropySum',
  'CrossEntropySum',
  'MaskedSequenceAccuracy',
  'SequenceAccuracy',
  'WeightedSum',
}


def index(model, layer) -> int | None:
  """Returns the index of a batch's weights; `None` if the layer takes none.

  Args:
    model: Trax layer.
    layer: A loss or metric, which follows the model.
  """
  n_arrays = layer.n_in - model.n_out
  if n_arrays < 2 or layer.name in _NO_MEANS:
    return None
  return model.n_in + n_arrays - 1


def total(model, layer, batch) -> float:
  """Returns how much a batch counts: the sum of its weights.

  Where there are none it is the number of targets.

  Args:
    model: Trax layer.
    layer: A loss or metric, which follows the model.
    batch: Its arrays.
  """
  i = index(model, layer)
  if i is None:
    return np.size(batch[min(model.n_in, len(batch) - 1)])
  return np.sum(batch[i], dtype=np.float64)
