"""Tests of what the commands share."""

import jax
import numpy as np
import pytest
from trax import layers as tl
from trax import shapes

from trax_hourglass import command, trax_inputs
from trax_hourglass.errors import UserError


def _layer_that_raises(error):
  def f(x):
    raise error

  return tl.Serial(tl.Serial(tl.Fn('Raises', f)))


def test_building_unpacks_what_a_layer_raised():
  layer = _layer_that_raises(ValueError('got 3,\n expected 2'))
  with (
    pytest.raises(UserError, match='^got 3, expected 2$'),
    command.building(),
  ):
    layer.init(shapes.ShapeDtype((1, 2), np.int32))


def test_building_keeps_bugs():
  layer = _layer_that_raises(ZeroDivisionError())
  with pytest.raises(tl.base.LayerError), command.building():
    layer.init(shapes.ShapeDtype((1, 2), np.int32))


@pytest.mark.parametrize(
  'selector', ['trax_hourglass.text_file', 'named_stream']
)
def test_building_names_what_is_not_bound(selector):
  command.gin.clear_config()
  with (
    pytest.raises(UserError, match="'(path|name)'"),
    command.building(),
  ):
    command.gin.get_configurable(selector)()


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
  command.gin.clear_config()
  command.gin.parse_config(config)
  measure = command.measure()
  assert (measure.remarks, measure.metric) == (remarks, metric)


def test_a_command_leaves_the_gpu_to_jax(monkeypatch):
  calls = []
  monkeypatch.setattr(
    command.runtime, 'leave_gpu_to_jax', lambda: calls.append(True)
  )
  command.start(['train'])
  assert calls


@pytest.fixture
def no_cache():
  names = (
    'jax_compilation_cache_dir',
    'jax_persistent_cache_min_compile_time_secs',
  )
  before = {name: getattr(jax.config, name) for name in names}
  jax.config.update('jax_compilation_cache_dir', None)
  yield
  for name, value in before.items():
    jax.config.update(name, value)


def test_keeps_compiled_programs(no_cache, monkeypatch, tmp_path):
  monkeypatch.setenv('HOME', str(tmp_path))
  command._keep_compiled_programs()
  directory = tmp_path / '.cache' / 'trax_hourglass' / 'jax'
  assert directory.is_dir()
  assert jax.config.jax_compilation_cache_dir == str(directory)
  assert jax.config.jax_persistent_cache_min_compile_time_secs == 0


def test_keeps_the_users_cache(no_cache):
  jax.config.update('jax_compilation_cache_dir', '/users')
  command._keep_compiled_programs()
  assert jax.config.jax_compilation_cache_dir == '/users'


def test_does_without_a_home(no_cache, monkeypatch, tmp_path):
  (tmp_path / 'file').touch()
  monkeypatch.setenv('HOME', str(tmp_path / 'file'))
  command._keep_compiled_programs()
  assert jax.config.jax_compilation_cache_dir is None


def test_finds_arguments_in_the_scope_of_a_function():
  command.gin.clear_config()
  command.gin.parse_config(
    'INPUTS = @s/trax_hourglass.text_inputs\n'
    'LENGTH = 5\n'
    'train.inputs = %INPUTS\n'
    's/trax_hourglass.text_inputs.length = %LENGTH\n'
    'trax_hourglass.text_inputs.length = 7\n'
    'trax_hourglass.text_inputs.batch_size = 3'
  )
  assert trax_inputs.selector() == 'trax_hourglass.text_inputs'
  assert trax_inputs.sizes() == trax_inputs.Sizes(3, 3, 5)


def test_an_evaluation_may_be_switched_off_by_a_macro():
  command.gin.clear_config()
  command.gin.parse_config('TEXT = None\ntrax_hourglass.evaluate.text = %TEXT')
  assert command.evaluator() is None
