"""Errors of a configuration, in one line."""

import gin
import jax
import numpy as np
import pytest
from trax import layers as tl
from trax import shapes

from trax_hourglass.configuration import explain
from trax_hourglass.errors import UserError


def _layer_that_raises(error):
  def f(x):
    raise error

  return tl.Serial(tl.Serial(tl.Fn('Raises', f)))


def test_config_errors_unpacks_what_a_layer_raised():
  layer = _layer_that_raises(ValueError('got 3,\n expected 2'))
  with (
    pytest.raises(UserError, match='^got 3, expected 2$'),
    explain.config_errors(),
  ):
    layer.init(shapes.ShapeDtype((1, 2), np.int32))


def test_config_errors_keeps_bugs():
  layer = _layer_that_raises(ZeroDivisionError())
  with pytest.raises(tl.base.LayerError), explain.config_errors():
    layer.init(shapes.ShapeDtype((1, 2), np.int32))


@pytest.mark.parametrize(
  'selector', ['trax_hourglass.text_file', 'named_stream']
)
def test_config_errors_names_what_is_not_bound(selector):
  gin.clear_config()
  with (
    pytest.raises(UserError, match="'(path|name)'"),
    explain.config_errors(),
  ):
    gin.get_configurable(selector)()


@pytest.mark.parametrize(
  ('config', 'expected'),
  [
    (
      '',
      'trax_hourglass.Loop.device_batch_size = 3 or '
      "trax_hourglass.HourglassLM.activation_dtype = 'bfloat16' or "
      'trax_hourglass.HourglassLM.rematerialize = True',
    ),
    (
      'trax_hourglass.Loop.device_batch_size = 2\n'
      "trax_hourglass.HourglassLM.activation_dtype = 'bfloat16'",
      'trax_hourglass.Loop.device_batch_size = 1 or '
      'trax_hourglass.HourglassLM.rematerialize = True',
    ),
    (
      'trax_hourglass.Loop.device_batch_size = 1\n'
      'train.model = @trax.models.HourglassLM',
      'a smaller model',
    ),
  ],
)
def test_too_little_memory_names_what_takes_less(config, expected):
  gin.clear_config()
  gin.parse_config(
    'train.model = @trax_hourglass.HourglassLM\n'
    'train.inputs = @trax_hourglass.text_inputs\n'
    f'trax_hourglass.text_inputs.batch_size = {9 * jax.device_count()}\n'
    f'{config}'
  )
  with pytest.raises(UserError) as error, explain.training_errors():
    raise jax.errors.JaxRuntimeError(
      'RESOURCE_EXHAUSTED: Out of memory while trying to allocate 7 bytes. See'
    )
  assert str(error.value) == (
    'out of memory (RESOURCE_EXHAUSTED: Out of memory while trying to allocate '
    f'7 bytes); bind {expected}; python -m trax_hourglass.memory prints the '
    'memory that each needs'
  )


def test_other_errors_of_devices_keep_their_traceback():
  error = jax.errors.JaxRuntimeError('INTERNAL: a bug')
  with pytest.raises(jax.errors.JaxRuntimeError), explain.training_errors():
    raise error
