"""Imports of the package point one way, from each room to those below it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'trax_hourglass'
# Modules and folders of the package, the lowest first. A room may import those
# on its own line and on earlier ones. What is not here yet lies above all.
ROOMS = (
  ('errors', 'hierarchy'),
  ('runtime',),
  ('kernels',),
  ('layers',),
  ('models',),
  ('data', 'distribution'),
  ('evaluation', 'generation', 'sampling', 'training'),
)
# What a room must not import, beside that.
FORBIDDEN = {
  'errors': {'jax', 'trax', 'tensorflow', 'gin'},
  'hierarchy': {'jax', 'trax', 'tensorflow', 'gin', 'numpy'},
  'runtime': {'gin'},
  'kernels': {'trax', 'tensorflow', 'gin'},
  'layers': {'tensorflow', 'gin'},
  'models': {'tensorflow', 'gin'},
  'data': {'gin'},
  'distribution': {'gin'},
  'evaluation': {'gin'},
  'generation': {'gin'},
  'training': {'gin'},
}
PLACED = [room for line in ROOMS for room in line]


def _imports(path):
  """Yields the full names of what a file imports, wherever in it."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert not node.level, f'{path}: a relative import'
      for alias in node.names:
        yield f'{node.module}.{alias.name}'


def _files(room):
  folder = PACKAGE / room
  return sorted(folder.rglob('*.py')) or [folder.with_suffix('.py')]


@pytest.mark.parametrize('room', PLACED)
def test_imports_point_down(room):
  (height,) = (i for i, line in enumerate(ROOMS) if room in line)
  allowed = {name for line in ROOMS[: height + 1] for name in line}
  wrong = []
  for path in _files(room):
    for name in _imports(path):
      package, _, rest = name.partition('.')
      inside = package == 'trax_hourglass'
      if inside and rest.split('.')[0] not in allowed:
        wrong.append(f'{path.relative_to(PACKAGE)} imports {name}')
      if package in FORBIDDEN.get(room, ()):
        wrong.append(f'{path.relative_to(PACKAGE)} imports {name}')
  assert not wrong


def test_every_room_is_there():
  assert all(path.exists() for room in PLACED for path in _files(room))
