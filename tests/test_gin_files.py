"""Every gin file is parsed, finalised, built and counted."""

import pathlib

import gin
import pytest

from tests import trax_tools

GIN = pathlib.Path(__file__).parent.parent / 'gin'

# Weights of the model that a file configures. Base files need a file on top.
WEIGHTS = {
  'quickstart.gin': 1_851_904,
  'wikipedia_sample.gin': 1_851_904,
}
BASES = {'text.gin'}


def test_every_file_is_here():
  assert {path.name for path in GIN.iterdir()} == BASES | set(WEIGHTS)


@pytest.mark.parametrize('name', WEIGHTS)
def test_builds_what_is_counted(name):
  gin.clear_config()
  gin.parse_config_file(name)
  gin.finalize()
  model = gin.query_parameter('train.model').scoped_configurable_fn(mode='eval')
  layer = trax_tools.Jitted(model, trax_tools.tokens_signature(12))
  assert sum(_size(shape) for shape in layer.shapes) == WEIGHTS[name]
  gin.clear_config()


def _size(shape):
  size = 1
  for n in shape:
    size *= n
  return size
