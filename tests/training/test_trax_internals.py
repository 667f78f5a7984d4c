"""Trax's private names are used in one module, each with a reason."""

import ast
import inspect
from pathlib import Path

import pytest
from trax import jaxboard
from trax.optimizers import base, trainer
from trax.supervised import history
from trax.supervised import training as trax_training

from tests.training.small_loop import small_loop
from trax_hourglass.training import trax_internals

PACKAGE = Path(trax_internals.__file__).parents[1]
MODULES = jaxboard, base, trainer, history, trax_training
# Ours that extend a class of Trax's, and so share its names.
EXTENDED = {'Loop', 'SummaryWriter'}


def _is_private(name):
  return name.startswith('_') and not name.startswith('__')


def _defined(tree):
  """Yields the private names that a module defines or sets."""
  for node in ast.walk(tree):
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
      yield node.name
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
      yield node.attr


PRIVATE = {
  name
  for module in MODULES
  for name in _defined(ast.parse(inspect.getsource(module)))
  if _is_private(name)
}


def _used(tree):
  """Yields (name, line) of Trax's private names that a module uses."""
  for node in ast.walk(tree):
    if isinstance(node, ast.ClassDef) and node.name in EXTENDED:
      for part in ast.walk(node):
        if isinstance(part, ast.FunctionDef):
          yield part.name, part.lineno
        elif isinstance(part, ast.Attribute):
          yield part.attr, part.lineno
    elif isinstance(node, ast.Attribute):
      owner = node.value
      if not (isinstance(owner, ast.Name) and owner.id in ('self', 'cls')):
        yield node.attr, node.lineno
    elif isinstance(node, ast.Constant):  # Of `getattr`.
      yield node.value, node.lineno


def _violations(source):
  return [
    (name, line) for name, line in _used(ast.parse(source)) if name in PRIVATE
  ]


def test_no_other_module_uses_private_names_of_trax():
  found = {
    str(path.relative_to(PACKAGE)): _violations(path.read_text())
    for path in PACKAGE.rglob('*.py')
  }
  exempt = {'training/trax_internals.py'}
  exempt |= {path for path in found if path.startswith('runtime/')}
  assert found['training/trax_internals.py']
  assert not {
    path: names for path, names in found.items() if names and path not in exempt
  }


@pytest.mark.parametrize(
  'source',
  [
    'loop._step = 3',
    'training._model_with_ends(model)',
    'getattr(trainer, "_opt_params")',
    'class Loop(training.Loop):\n  def _init_trainer(self, task): pass',
    'class Loop(training.Loop):\n  def f(self): return self._rng',
  ],
)
def test_each_kind_of_use_is_seen(source):
  assert len(_violations(source)) == 1


def test_our_own_attributes_are_not_traxs():
  """And all of a loop's are made in its own `__init__`."""
  ours = vars(small_loop()).keys() - vars(
    small_loop(loop_class=trax_training.Loop)
  )
  assert all(name not in PRIVATE for name in ours)
  source = ast.parse((PACKAGE / 'training/loop.py').read_text())
  (init,) = (
    node
    for node in ast.walk(source)
    if isinstance(node, ast.FunctionDef) and node.name == '__init__'
  )
  assert ours == {
    node.attr
    for node in ast.walk(init)
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
  }


def test_every_name_has_a_reason():
  reasons = {
    name: value.__doc__
    for name, value in vars(trax_internals.Internals).items()
    if isinstance(value, property)
  }
  assert len(reasons) > 10
  assert all(reasons.values())
