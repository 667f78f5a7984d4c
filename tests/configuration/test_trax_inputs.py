"""Tests of the inputs that are bound."""

import gin

from trax_hourglass.configuration import trax_inputs


def test_finds_arguments_in_the_scope_of_a_function():
  gin.clear_config()
  gin.parse_config(
    'INPUTS = @s/trax_hourglass.text_inputs\n'
    'LENGTH = 5\n'
    'train.inputs = %INPUTS\n'
    's/trax_hourglass.text_inputs.length = %LENGTH\n'
    'trax_hourglass.text_inputs.length = 7\n'
    'trax_hourglass.text_inputs.batch_size = 3'
  )
  assert trax_inputs.selector() == 'trax_hourglass.text_inputs'
  assert trax_inputs.sizes() == trax_inputs.Sizes(3, 3, 5)
