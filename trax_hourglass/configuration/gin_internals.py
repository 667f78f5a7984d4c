"""Every private name of gin's that this package uses, and why.

setup.py admits the versions of gin-config that this was tested with.
"""

from collections.abc import Sequence
import functools
import pprint
import types
from unittest import mock

from gin import config, selector_map

# Scope, selector and parameter.
Key = tuple[str, str, str]
# For each scope and selector, values by parameter.
Arguments = dict[tuple[str, str], dict[str, object]]


def registry() -> selector_map.SelectorMap:
  """Returns gin's configurables by selector; gin only looks up one by name."""
  return config._REGISTRY


def replace_registry(replacement: selector_map.SelectorMap) -> None:
  """Replaces the registry; gin refuses a name that two packages register."""
  config._REGISTRY = replacement


def bindings() -> Arguments:
  """Returns all bindings; gin only tells those of a selector known before."""
  return config._CONFIG


def calls() -> Arguments:
  """Returns the arguments of all calls; gin only formats them as a file."""
  # Threads that draw batches may call configurables.
  with config._OPERATIVE_CONFIG_LOCK:
    return {key: dict(found) for key, found in config._OPERATIVE_CONFIG.items()}


def format_bindings(arguments: Arguments) -> str:
  """Returns arguments as a gin file; gin only formats all, in their scopes.

  gin also sorts dictionaries, whose order may count: see `Optax.rates`.
  """
  unsorted = functools.partial(pprint.pformat, sort_dicts=False)
  as_pprint = types.SimpleNamespace(pformat=unsorted)
  with mock.patch.object(config, 'pprint', as_pprint):
    return config._config_str(arguments)


def search_path() -> Sequence[str]:
  """Returns the folders in which gin looks for files; gin only adds to it."""
  return config._LOCATION_PREFIXES
