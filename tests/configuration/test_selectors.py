"""Names that gin files can use before anything has registered them."""

import gin
import pytest

from trax_hourglass.configuration import registration, safety, selectors

LAB = ('trax_hourglass.level_operations', 'trax_hourglass.reproduce')


@pytest.fixture
def registry(monkeypatch):
  """A registry as `import trax_hourglass` leaves it."""
  names = selectors.SelectorMap(registration.ON_DEMAND)
  for selector, configurable in gin.config._REGISTRY.items():
    if selector not in LAB:
      names[selector] = configurable
  monkeypatch.setattr(gin.config, '_REGISTRY', names)
  gin.clear_config()
  yield names
  gin.clear_config()


@pytest.mark.parametrize('name', ['trax_hourglass.reproduce', 'reproduce'])
def test_a_gin_file_may_name_what_the_lab_registers(registry, name):
  assert not set(LAB) & dict(registry.items()).keys()
  text = f'import trax_hourglass\n{name}.seeds = 2'
  safety.check('saved.gin', text)
  gin.parse_config(text)
  assert gin.query_parameter('trax_hourglass.reproduce.seeds') == 2
  assert set(LAB) <= dict(registry.items()).keys()


def test_any_other_name_is_unknown(registry):
  with pytest.raises(ValueError, match='trax_hourglass.produce'):
    gin.parse_config('trax_hourglass.produce.seeds = 2')
  assert not set(LAB) & dict(registry.items()).keys()
