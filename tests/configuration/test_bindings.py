"""Tests of what is bound for Trax's `train`, and for evaluation."""

import gin
import pytest

from trax_hourglass.configuration import bindings
from trax_hourglass.errors import UserError


@pytest.mark.parametrize(
  ('config', 'remarks', 'metric'),
  [
    (
      'train.inputs = @trax_hourglass.image_inputs\n'
      'IMAGES = @trax_hourglass.photos32()\n'
      'trax_hourglass.image_inputs.images = %IMAGES',
      ' [photos32, the embedded photographs]',
      'bits_per_dim',
    ),
    (
      "train.metrics = {'bits_per_dim': @trax_hourglass.BitsPerDim()}\n"
      "data_streams.dataset_name = 'downsampled_imagenet/32x32'",
      ' [downsampled_imagenet/32x32]',
      'bits_per_dim',
    ),
    (
      'INPUTS = @s/trax_hourglass.image_inputs\n'
      'IMAGES = @trax_hourglass.photos32()\n'
      'train.inputs = %INPUTS\n'
      's/trax_hourglass.image_inputs.images = %IMAGES',
      ' [photos32, the embedded photographs]',
      'bits_per_dim',
    ),
    (
      'train.inputs = @image_inputs\n'
      'image_inputs.images = @trax_hourglass.photos32()',
      ' [photos32, the embedded photographs]',
      'bits_per_dim',
    ),
    ('train.inputs = @trax_hourglass.text_inputs', '', 'bits_per_byte'),
    ('', '', 'bits_per_byte'),
  ],
)
def test_says_what_bits_are_counted_over(config, remarks, metric):
  gin.clear_config()
  gin.parse_config(config)
  measure = bindings.measure()
  assert (measure.remarks, measure.metric) == (remarks, metric)


def test_an_evaluation_may_be_switched_off_by_a_macro():
  gin.clear_config()
  gin.parse_config('TEXT = None\ntrax_hourglass.evaluate.text = %TEXT')
  assert bindings.evaluator() is None


def test_a_macro_for_a_call_is_no_function():
  gin.clear_config()
  gin.parse_config(
    'RATE = @trax_hourglass.warmup_rsqrt()\n'
    'trax_hourglass.warmup_rsqrt.constant = 0.5\n'
    'trax_hourglass.warmup_rsqrt.warmup_steps = 3\n'
    'train.lr_schedule_fn = %RATE'
  )
  expected = r'got @trax_hourglass.warmup_rsqrt\(\), expected a function'
  with pytest.raises(UserError, match=expected):
    bindings.check_train()
