"""gin's private names do what the package needs, and stand in one module."""

import ast
from pathlib import Path

import gin
import pytest

import trax_hourglass
from trax_hourglass.configuration import gin_internals

PACKAGE = Path(trax_hourglass.__file__).parent


def _private_names(path):
  """Yields the private names that a module takes from gin's modules."""
  tree = ast.parse(path.read_text())
  gins = {
    alias.asname or alias.name.partition('.')[0]
    for node in ast.walk(tree)
    if isinstance(node, ast.Import | ast.ImportFrom)
    for alias in node.names
    if (getattr(node, 'module', None) or alias.name).split('.')[0] == 'gin'
  }
  for node in ast.walk(tree):
    if isinstance(node, ast.Attribute) and node.attr.startswith('_'):
      owner = node.value
      while isinstance(owner, ast.Attribute):
        owner = owner.value
      if isinstance(owner, ast.Name) and owner.id in gins:
        yield node.attr
    if isinstance(node, ast.ImportFrom) and node.module.startswith('gin'):
      yield from (x.name for x in node.names if x.name.startswith('_'))


def test_no_other_module_uses_private_names_of_gin():
  users = {p.name for p in PACKAGE.rglob('*.py') if any(_private_names(p))}
  assert users == {'gin_internals.py'}


@pytest.fixture
def configured():
  gin.clear_config()
  gin.parse_config(
    'LENGTH = 3\n'
    's/trax_hourglass.warmup_cosine.warmup_steps = %LENGTH\n'
    'trax_hourglass.warmup_cosine.peak = 0.5\n'
    'trax_hourglass.warmup_cosine.cycle_steps = 7\n'
  )
  yield
  gin.clear_config()


def test_bindings_and_calls(configured):
  selector = 'trax_hourglass.warmup_cosine'
  bindings = gin_internals.bindings()
  assert bindings['', selector] == {'peak': 0.5, 'cycle_steps': 7}
  assert str(bindings['s', selector]['warmup_steps']) == '%LENGTH'
  assert bindings['LENGTH', 'gin.macro'] == {'value': 3}
  assert not gin_internals.calls()
  with gin.config_scope('s'):
    gin.get_configurable(selector)()
  calls = gin_internals.calls()
  assert calls['s', selector]['peak'] == 0.5
  assert calls['LENGTH', 'gin.macro'] == {'value': 3}
  assert gin_internals.format_bindings(calls) == gin.operative_config_str()


def test_registry_and_search_path():
  registry = gin_internals.registry()
  assert registry.matching_selectors('text_file') == [
    'trax_hourglass.text_file'
  ]
  found = registry['trax_hourglass.text_file']
  assert found.wrapped is trax_hourglass.data.text.text_file
  try:
    gin_internals.replace_registry(registry.copy())
    gin.register('named_here', module='tests')(lambda: None)
    assert gin.get_configurable('tests.named_here')() is None
    assert 'tests.named_here' not in registry
  finally:
    gin_internals.replace_registry(registry)
  assert any(
    Path(x, 'quickstart.gin').exists() for x in gin_internals.search_path()
  )
