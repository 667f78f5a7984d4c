"""Where in a batch the weights of a loss or metric are, if it takes any."""


def index(model, layer) -> int | None:
  """Returns the index of a batch's loss weights; `None` where there are none.

  A model takes the first arrays of a batch. Its outputs and the arrays that
  follow are what a loss or metric of Trax takes: targets, and weights if it
  takes any.

  Args:
    model: Trax layer.
    layer: The loss or metric behind it.
  """
  n_arrays = layer.n_in - model.n_out
  return model.n_in + n_arrays - 1 if n_arrays > 1 else None
