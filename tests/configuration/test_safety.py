"""With --safe, gin files bind what is known and do no more."""

import gin
import pytest

from trax_hourglass.configuration import reading, registration, safety
from trax_hourglass.errors import UserError


@pytest.mark.parametrize(
  'content, message',
  [
    ('import antigravity', 'an import of antigravity'),
    ('from os import path', 'an import of os.path'),
    ('from __gin__ import dynamic_registration', 'an import of __gin__'),
    ('import trax.os\nimport os.trax', 'an import of os.trax'),
    ('include "{inner}"', 'an import of os in'),
    ('elsewhere.function.x = 1', 'elsewhere.function, which is of tests'),
    ('function.x = 1', 'function, which is of tests'),
    ('scope/function:\n  x = 1', 'function, which is of tests'),
    ('train.steps = @function()', 'function, which is of tests'),
    ('A = [{{"a": (1, @scope/function)}}]', 'function, which is of tests'),
  ],
)
def test_refuses_what_is_not_known(tmp_path, content, message, monkeypatch):
  monkeypatch.setattr(gin.config, '_REGISTRY', _registry())
  inner = tmp_path / 'inner.gin'
  inner.write_text('import os')
  path = tmp_path / 'config.gin'
  path.write_text(content.format(inner=inner))
  with pytest.raises(UserError, match='^--safe: got ') as error:
    _parse(path)
  assert message in str(error.value)
  assert '\n' not in str(error.value)


def _parse(path):
  gin.clear_config()
  with reading.reading(safety.check):
    gin.config.parse_config_file(str(path))


def _registry():
  """Returns gin's registry and, in it, a function of neither package."""

  def function(x):
    return x

  function.__module__ = 'tests.elsewhere'
  registry = gin.config._REGISTRY.copy()
  registry['elsewhere.function'] = gin.config.Configurable(
    function, function, 'function', 'elsewhere', None, None, None, 'function'
  )
  return registry


@pytest.mark.parametrize(
  'path', sorted(registration.GIN_DIRECTORY.rglob('*.gin')), ids=str
)
def test_admits_our_files(path):
  _parse(path)
