"""Optax in gin files: all of its functions that make a transformation.

Their names are `optax.NAME` and `optax.contrib.NAME`, as in `@optax.adamw()`.
Their learning rate is 1, and not for gin to bind: that of a run is Trax's
schedule.
"""

import functools
import inspect

import gin
import optax
from optax import contrib

MODULES = {'optax': optax, 'optax.contrib': contrib}
_RATE = 'learning_rate'


def register() -> None:
  """Registers them with gin."""
  for module, namespace in MODULES.items():
    for name, function in inspect.getmembers(namespace, inspect.isfunction):
      signature = inspect.signature(function)
      made = signature.return_annotation
      if not inspect.isclass(made):
        continue
      if issubclass(made, optax.GradientTransformation):
        has_rate = _RATE in signature.parameters
        gin.register(name, module, denylist=[_RATE] if has_rate else None)(
          _with_unit_rate(function) if has_rate else function
        )


def _with_unit_rate(function):
  @functools.wraps(function)
  def make(**options):
    return function(**{_RATE: 1.0, **options})

  return make
