"""Loading of checkpoints: all their content, or the weights of a model."""

import jax
from trax import layers as tl

from trax_hourglass import pretrained_models
from trax_hourglass.models import names, safetensors_files
from trax_hourglass.training.checkpoints import find, format


def load_checkpoint(path: str) -> dict:
  """Returns the content of a checkpoint, read as data: no code in it is run.

  Args:
    path: A path as for `find_checkpoint`.

  Returns:
    Trax's dictionary with `step`, `history`, ..., and lists of arrays:
    `flat_weights`, `flat_state` and, for each task, `slots_per_task`.

  Raises:
    UserError: If there is none, or it cannot be read.
  """
  path = find.find_checkpoint(path)
  content = format.read_pickle(path)
  content['flat_weights'] = format.read_weights(path)
  if isinstance(content.get('slots_per_task'), int):
    content['slots_per_task'] = list(format.read_slots(path))
  elif 'slots' in content:  # Before Trax had several tasks.
    content['slots_per_task'] = [content['slots']]
  return content


def load_weights(model, path: str, input_signature) -> None:
  """Initialises a layer with the weights of a checkpoint.

  Trax itself checks neither their number nor their shapes.

  Args:
    model: Trax layer.
    path: A `*.pkl.gz` file, or one that `save_safetensors` wrote.
    input_signature: `ShapeDtype` of the layer's input.

  Raises:
    UserError: If the checkpoint cannot be read, or is of another architecture.
  """
  weights, signature = _read_fitting_weights(model, path, input_signature)
  model.init(input_signature)
  model.weights, _ = tl.unflatten_weights_and_state(
    weights, (), signature, weights_only=True
  )


def set_weights(model, path: str, input_signature) -> None:
  """Gives a layer the weights of a checkpoint, and no state.

  It is not initialised, which takes seconds. Arguments and errors are those of
  `load_weights`.
  """
  weights, signature = _read_fitting_weights(model, path, input_signature)
  model.weights, _ = tl.unflatten_weights_and_state(
    jax.device_put(weights), None, signature, weights_only=True
  )


def check_weights(model, path: str, input_signature) -> None:
  """Raises `UserError` unless a checkpoint has the weights of a layer.

  Arguments are those of `load_weights`.
  """
  _read_fitting_weights(model, path, input_signature)


def _read_fitting_weights(model, path, input_signature):
  """Returns a checkpoint's weights, and the signature of the layer's."""
  signature = model.weights_and_state_signature(input_signature)
  expected, _ = tl.flatten_weights_and_state(*signature)
  if path.endswith(pretrained_models.SUFFIX):
    _, weights = safetensors_files.read(path)
    return names.in_order(names.named(model, signature[0]), weights), signature
  weights = format.read_weights(path)
  format.check_arrays(path, 'weight', weights, expected)
  return weights, signature
