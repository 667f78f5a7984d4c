"""What has to be bound to the parameters of Trax's `train`.

Trax takes whatever it is, and stumbles over it later.
"""

from collections.abc import Callable
import copy
import inspect
import math
import numbers

import gin
from trax import fastmath
from trax.layers import base
from trax.supervised import trainer_lib

from trax_hourglass.configuration import values
from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.layers import metrics

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
    UserError: If it is no function.
  """
  reference = values.bound(parameter)
  value = copy.deepcopy(reference)
  name = parameter.removeprefix('train.')
  if not _is_bound(name):
    value = inspect.signature(trainer_lib.train).parameters[name].default
  is_function = inspect.isroutine(value) or inspect.isclass(value)
  if not is_function or str(reference).endswith('()'):
    raise UserError(
      f'{parameter}: got {reference!r}, expected a function by its name, such '
      f'as {_EXAMPLES[parameter]}, without ()'
    )
  return value


def model(mode: str) -> base.Layer:
  """Returns what `train.model` makes in a mode.

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


def schedule() -> Callable[[int], float]:
  """Returns the learning rate as a function of the step.

  Raises:
    UserError: If it gives anything else than numbers.
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


def evaluator():
  """Returns the evaluation that is configured; `None` if none is.

  That is `trax_hourglass.evaluate` or `trax_hourglass.evaluate_images`.

  Raises:
    UserError: If both are.
  """
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


def measure() -> metrics.Measure:
  """Returns the unit of the training data's bits, and its source."""
  if values.selector('train.inputs') == 'trax_hourglass.image_inputs':
    images = values.argument('train.inputs', 'images')
    return metrics.Measure('bits per dim', source=images.name)
  metrics_bound = values.without_macros(values.bound('train.metrics'))
  if 'bits_per_dim' in str(metrics_bound):
    names = ('data_streams.dataset_name', 'data.TFDS.dataset_name')
    sources = filter(None, map(values.value, names))
    return metrics.Measure('bits per dim', next(sources, None))
  return metrics.Measure()


def check_train() -> None:
  """Raises `UserError` at what Trax's `train` would stumble over later."""
  if values.bound('train.use_loop') is False:
    raise UserError('train.use_loop: got False, expected True; leave it out')
  for name in ('steps', 'eval_steps', 'eval_frequency'):
    if _is_bound(name):
      check_positive(**{f'train.{name}': _value(name)})
  name = 'permanent_checkpoint_frequency'
  if _value(name) is not None:
    check_positive(**{f'train.{name}': _value(name)})
  for name in ('checkpoints_at', 'permanent_checkpoints_at'):
    _check_steps(name)
  _check_seed()
  function('train.model')
  if _is_bound('optimizer'):
    function('train.optimizer')
  if _is_bound('lr_schedule_fn'):
    schedule()
  _check_layers()


def check_inputs(error: AttributeError) -> None:
  """Raises `UserError` if an error is that `train.inputs` has no streams."""
  if "no attribute 'train_stream'" in str(error):  # gin hides its name.
    raise UserError(
      f'train.inputs: got {values.bound("train.inputs")!r}, expected batches, '
      'such as @trax_hourglass.text_inputs'
    ) from error


def _check_steps(name):
  steps = _value(name)
  if steps is None:
    return
  if not isinstance(steps, list | tuple):
    raise UserError(
      f'train.{name}: got {steps!r}, expected a list of steps, as [100, 1000]'
    )
  for step in steps:
    check_positive(**{f'train.{name}': step})


def _check_seed():
  seed = _value('random_seed')
  is_whole = isinstance(seed, numbers.Integral)
  if seed is not None and not (is_whole and 0 <= seed < 2**32):
    raise UserError(
      f'train.random_seed: got {seed!r}, expected a whole number, at least 0 '
      'and below 2**32'
    )


def _check_layers():
  metrics = _value('metrics')
  if metrics is not None and not (
    isinstance(metrics, dict)
    and all(isinstance(layer, base.Layer) for layer in metrics.values())
  ):
    raise UserError(
      f"train.metrics: got {metrics!r}, expected layers by name, as {{'bits': "
      '@trax_hourglass.BitsPerByte()}'
    )
  if _is_bound('loss_fn') and not isinstance(_value('loss_fn'), base.Layer):
    raise UserError(
      f'train.loss_fn: got {_value("loss_fn")!r}, expected a layer, as '
      '@tl.WeightedCategoryCrossEntropy()'
    )


def _is_bound(name):
  try:
    gin.query_parameter(f'train.{name}')
  except ValueError:
    return False
  return True


def _value(name):
  return copy.deepcopy(values.bound(f'train.{name}'))
