"""Errors of a configuration, in one line."""

import gin
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
