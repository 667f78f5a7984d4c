"""Trax's training loop and checkpoints, without what loses a user's work."""

import importlib

_HOMES = {
  'Loop': 'trax_hourglass.training.loop',
  'find_checkpoint': 'trax_hourglass.training.checkpoints',
  'load_weights': 'trax_hourglass.training.checkpoints',
}
__all__ = list(_HOMES)


def __getattr__(name):
  # Commands use `interruption` before they import Trax, which these need.
  if name not in _HOMES:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return getattr(importlib.import_module(_HOMES[name]), name)
