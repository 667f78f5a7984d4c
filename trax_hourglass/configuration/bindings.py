"""Checks of what is bound to the parameters of Trax's `train`.

Trax accepts any value, and fails over it later.
"""

from collections.abc import Callable
import copy
import inspect
import json
import math
import numbers

import gin
from trax import fastmath
from trax.layers import base
from trax.supervised import trainer_lib

from trax_hourglass import hierarchy, models, pretrained_models
from trax_hourglass.configuration import values
from trax_hourglass.data.images import Images
from trax_hourglass.data.text import Text
from trax_hourglass.errors import UserError, is_positive
from trax_hourglass.layers import metrics
from trax_hourglass.models import arguments, safetensors_files

# Arguments of HourglassLM that may change while its weights stay.
_CHANGEABLE = {
  'activation_dtype',
  'documents',
  'dropout',
  'dropout_shared_axes',
  'max_inference_length',
  'rematerialize',
}
_EXAMPLES = {
  'train.model': '@trax_hourglass.HourglassLM',
  'train.optimizer': '@trax.optimizers.Adam',
  'train.lr_schedule_fn': '@trax_hourglass.warmup_cosine',
}


def function(parameter: str) -> Callable:
  """Returns the function that is bound to a parameter of `train`.

  If none is bound, that is Trax's default, which the authors' files train with.

  Args:
    parameter: `'train.model'`, `'train.optimizer'` or `'train.lr_schedule_fn'`.

  Raises:
    UserError: If another value is bound.
  """
  name = parameter.removeprefix('train.')
  bound = _train_bindings()
  if name not in bound:
    return inspect.signature(trainer_lib.train).parameters[name].default
  reference = values.without_macros(bound[name])
  value = copy.deepcopy(reference)
  is_function = inspect.isroutine(value) or inspect.isclass(value)
  if not is_function or str(reference).endswith('()'):
    raise UserError(
      f'{parameter}: got {reference!r}, expected a function by its name, such '
      f'as {_EXAMPLES[parameter]}, without ()'
    )
  return value


def model(mode: str) -> base.Layer:
  """Returns the layer that `train.model` makes in a mode.

  Raises:
    UserError: If it makes no layer, or the layer cannot be made.
  """
  layer = function('train.model')(mode=mode)
  if not isinstance(layer, base.Layer):
    raise UserError(
      f'train.model: got {values.bound("train.model")}, which makes a '
      f'{type(layer).__name__}, expected one that makes a layer'
    )
  return layer


def model_arguments() -> dict:
  """Returns what gin gives to our model, functions with what it gives to them.

  Raises:
    UserError: If `train.model` is another model.
  """
  selector = values.selector('train.model')
  if selector != 'trax_hourglass.HourglassLM':
    raise UserError(
      f'train.model: got {selector or values.bound("train.model")}, expected '
      'trax_hourglass.HourglassLM; --model=trax_hourglass.HourglassLM takes '
      "the bindings and the weights of Trax's"
    )
  return values.arguments(values.reference('train.model'))


def check_model(path: str) -> None:
  """Raises `UserError` unless `train.model` is the one that was exported.

  It may be trained and run otherwise: with dropout, other types of activations,
  as one of documents, ...

  Args:
    path: A file of `save_safetensors`, or another checkpoint, which does not
      have a model's arguments.
  """
  if not path.endswith(pretrained_models.SUFFIX):
    return
  expected, _ = safetensors_files.read(path)
  parameters = inspect.signature(models.HourglassLM).parameters
  got = {name: one.default for name, one in parameters.items()}
  got |= model_arguments()
  levels = [
    hierarchy.parse(one['hierarchy'], one['vanilla_layers'])
    for one in (got, expected)
  ]
  for name in [one for one in expected if one not in _CHANGEABLE]:
    is_same = (
      levels[0] == levels[1]
      if name in ('hierarchy', 'vanilla_layers')
      else _computation(got[name]) == _computation(expected[name])
    )
    if not is_same:
      raise UserError(
        f'trax_hourglass.HourglassLM.{name}: got {got[name]!r}, expected '
        f'{expected[name]!r}, which {path} was trained with; leave that '
        'binding out, or train from the start'
      )


def _computation(value):
  """Returns an argument as plain values, without how it is computed."""
  tree = json.loads(arguments.to_json(value))
  if isinstance(tree, dict):
    tree['options'].pop('implementation', None)
  return tree


def schedule() -> Callable[[int], float]:
  """Returns the learning rate as a function of the step.

  Raises:
    UserError: If the rate at step 1 is not a number.
  """
  rate_at = function('train.lr_schedule_fn')()
  with fastmath.use_backend(fastmath.Backend.NUMPY):  # As in Trax's loop.
    rate = rate_at(1)
  if not isinstance(rate, numbers.Real) or not math.isfinite(rate):
    raise UserError(
      f'train.lr_schedule_fn: got the rate {rate!r} at step 1, expected a '
      'number; correct what is bound to '
      f'{values.bound("train.lr_schedule_fn")}'
    )
  return rate_at


def evaluator(text: Text | None = None):
  """Returns the `Evaluation` that is configured; `None` if none is.

  Args:
    text: What to score, as a whole, in place of what is bound.

  Raises:
    UserError: If both a text and images are bound.
  """
  if text is not None:
    return gin.get_configurable('trax_hourglass.evaluate')(text, split=None)
  parameters = {
    'trax_hourglass.evaluate': 'text',
    'trax_hourglass.evaluate_images': 'images',
  }
  given = [
    selector
    for selector, name in parameters.items()
    if values.without_macros(values.bound(f'{selector}.{name}')) is not None
  ]
  if len(given) > 1:
    raise UserError(
      'trax_hourglass.evaluate.text and trax_hourglass.evaluate_images.images '
      'are both bound, expected one; bind the other one to None'
    )
  return gin.get_configurable(given[0])() if given else None


def trains_on_images() -> bool:
  """Returns whether `train.inputs` is bound to a function of an `Images`."""
  inputs = values.reference('train.inputs')
  function = inputs.configurable.wrapped if inputs else None
  return Images in getattr(function, '__annotations__', {}).values()


def measure() -> metrics.Measure:
  """Returns the unit of the training data's bits, and its source."""
  if trains_on_images():
    images = values.argument('train.inputs', 'images')
    return metrics.Measure(Images.unit, source=images.name)
  layers = values.without_macros(values.bound('train.metrics'))
  if metrics.BitsPerDim in (
    reference.configurable.wrapped
    for reference in gin.config.iterate_references(layers)
  ):
    names = ('data_streams.dataset_name', 'data.TFDS.dataset_name')
    sources = filter(None, map(values.value, names))
    return metrics.Measure(Images.unit, next(sources, None))
  return metrics.Measure()


def check_train() -> None:
  """Raises `UserError` at what Trax's `train` would fail over later."""
  bound = _train_bindings()
  for name, (is_valid, expected) in _CHECKS.items():
    value = copy.deepcopy(bound.get(name))
    if name in bound and not is_valid(value):
      raise UserError(f'train.{name}: got {value!r}, expected {expected}')
  function('train.model')
  function('train.optimizer')
  if 'lr_schedule_fn' in bound:
    schedule()


def check_inputs(error: AttributeError) -> None:
  """Raises `UserError` if an error is that `train.inputs` has no streams."""
  if "no attribute 'train_stream'" in str(error):  # gin hides its name.
    raise UserError(
      f'train.inputs: got {values.bound("train.inputs")!r}, expected batches, '
      'such as @trax_hourglass.text_inputs'
    ) from error


def _train_bindings():
  return gin.get_bindings('train', resolve_references=False)


def _is_layer(value):
  return isinstance(value, base.Layer)


def _is_seed(value):
  return isinstance(value, numbers.Integral) and 0 <= value < 2**32


def _are_steps(value):
  return isinstance(value, list | tuple) and all(map(is_positive, value))


def _are_layers(value):
  return isinstance(value, dict) and all(map(_is_layer, value.values()))


def _or_none(is_valid):
  return lambda value: value is None or is_valid(value)


_STEPS = 'a whole number of at least 1'
_LIST = 'a list of steps, as [100, 1000]'
# For parameters of `train`, a test and a description of what passes it.
_CHECKS = {
  'use_loop': (lambda value: value is not False, 'True; leave it out'),
  'steps': (is_positive, _STEPS),
  'eval_steps': (is_positive, _STEPS),
  'eval_frequency': (is_positive, _STEPS),
  'permanent_checkpoint_frequency': (_or_none(is_positive), _STEPS),
  'checkpoints_at': (_or_none(_are_steps), _LIST),
  'permanent_checkpoints_at': (_or_none(_are_steps), _LIST),
  'random_seed': (
    _or_none(_is_seed),
    'a whole number, at least 0 and below 2**32',
  ),
  'metrics': (
    _or_none(_are_layers),
    "layers by name, as {'bits': @trax_hourglass.BitsPerByte()}",
  ),
  'loss_fn': (_is_layer, 'a layer, as @tl.WeightedCategoryCrossEntropy()'),
}
