"""Imports of the package point one way, from each room to those below it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'trax_hourglass'
DOORS = (
  '__main__',
  'benchmark',
  'evaluate',
  'export',
  'generate',
  'memory',
  'plot_schedule',
  'reproduce',
  'train',
)
# Modules and folders of the package, the lowest first. A room may import those
# on its own line and on earlier ones.
ROOMS = (
  ('errors', 'hierarchy', 'starting'),
  ('addresses',),
  ('outputs', 'pretrained_models'),
  ('runtime',),
  ('kernels',),
  ('layers',),
  ('models',),
  ('data', 'distribution'),
  ('evaluation', 'generation', 'training'),
  ('configuration',),
  ('commands',),
  ('lab',),
  DOORS,
)
PLACED = [room for line in ROOMS for room in line]
# Packages that a room must not import.
FORBIDDEN = {
  'addresses': {'jax', 'trax', 'tensorflow', 'numpy'},
  'errors': {'jax', 'trax', 'tensorflow'},
  'pretrained_models': {'jax', 'trax', 'tensorflow', 'numpy'},
  'outputs': {'jax', 'trax', 'tensorflow', 'numpy'},
  'starting': {'jax', 'trax', 'tensorflow', 'numpy'},
  'hierarchy': {'jax', 'trax', 'tensorflow', 'numpy'},
  'kernels': {'trax', 'tensorflow'},
  'layers': {'tensorflow'},
  'models': {'tensorflow'},
}
WITH_GIN = {'configuration', 'commands', 'lab', *DOORS}
# Imports a module when something of it is used.
LAZY = 'starting.lazy'
# Modules that configuration names in a string, to be loaded by a gin file.
NAMED_IN_STRINGS = {'trax_hourglass.lab.registration'}
# The only places that import TensorFlow as they are loaded.
WITH_TENSORFLOW = ('runtime/', 'data/tfds_builders.py')


def _imports(tree):
  """Yields the full names of what is imported anywhere in a tree."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert not node.level, 'a relative import'
      for alias in node.names:
        yield f'{node.module}.{alias.name}'
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == LAZY:
      yield ast.literal_eval(node.args[0])


def _module_level(node):
  """Yields the full names of what is imported as a module is loaded."""
  for child in ast.iter_child_nodes(node):
    if isinstance(child, ast.Import | ast.ImportFrom):
      yield from _imports(child)
    elif not isinstance(child, ast.FunctionDef):
      yield from _module_level(child)


def _parsed(path):
  return ast.parse(path.read_text())


def _files(room):
  folder = PACKAGE / room
  return sorted(folder.rglob('*.py')) or [folder.with_suffix('.py')]


@pytest.mark.parametrize('room', PLACED)
def test_imports_point_down(room):
  (height,) = (i for i, line in enumerate(ROOMS) if room in line)
  allowed = {name for line in ROOMS[: height + 1] for name in line}
  forbidden = FORBIDDEN.get(room, set())
  if room not in WITH_GIN:
    forbidden = forbidden | {'gin'}
  wrong = set()
  for path in _files(room):
    for name in _imports(_parsed(path)):
      package, _, rest = name.partition('.')
      inside = package == 'trax_hourglass'
      if (inside and rest.split('.')[0] not in allowed) or package in forbidden:
        wrong.add(f'{path.relative_to(PACKAGE)} imports {name}')
  assert not wrong


def test_tensorflow_is_imported_where_it_is_used():
  found = {
    str(path.relative_to(PACKAGE))
    for path in PACKAGE.rglob('*.py')
    for name in _module_level(_parsed(path))
    if name.startswith('tensorflow')
  }
  assert not [path for path in found if not path.startswith(WITH_TENSORFLOW)]
  assert 'data/tfds_builders.py' in found


def test_every_module_has_a_room():
  names = {path.stem for path in PACKAGE.iterdir() if path.suffix == '.py'}
  names |= {path.parent.name for path in PACKAGE.glob('*/__init__.py')}
  assert names == {'__init__', *PLACED}


def test_only_the_labs_doors_import_the_lab():
  doors = [
    room
    for room in PLACED
    if room != 'lab'
    for path in _files(room)
    for name in _imports(_parsed(path))
    if name.startswith('trax_hourglass.lab')
  ]
  assert set(doors) == {'benchmark', 'memory', 'reproduce'}


def test_the_lab_is_named_in_one_string():
  found = {
    node.value
    for room in PLACED
    if room not in ('lab', *DOORS)
    for path in _files(room)
    for node in ast.walk(_parsed(path))
    if isinstance(node, ast.Constant)
    and str(node.value).startswith('trax_hourglass.lab')
  }
  assert found == NAMED_IN_STRINGS


def test_the_package_loads_neither_the_lab_nor_what_is_slow():
  """Follows the imports that run when `trax_hourglass` is imported."""
  waiting, loaded, libraries = ['trax_hourglass'], set(), set()
  while waiting:
    name = waiting.pop()
    path = PACKAGE.parent / name.replace('.', '/')
    path = path / '__init__.py' if path.is_dir() else path.with_suffix('.py')
    if name in loaded or not path.exists():
      continue
    loaded.add(name)
    imports = list(_module_level(_parsed(path)))
    libraries |= {one.partition('.')[0] for one in imports}
    for one in imports:
      parts = one.split('.')
      waiting += ['.'.join(parts[:i]) for i in range(1, len(parts) + 1)]
  assert {'trax_hourglass.models', 'trax_hourglass.training.options'} <= loaded
  assert not [name for name in loaded if name.startswith('trax_hourglass.lab')]
  slow = {'matplotlib', 'tensorflow', 'tensorflow_datasets'}
  assert not libraries & slow
