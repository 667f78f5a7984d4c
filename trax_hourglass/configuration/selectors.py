"""Short gin selectors that name a configurable of Trax and one of ours.

Both have a `HourglassLM`, a `LinearPooling`, and so on. Gin files written for
Trax alone, such as the authors' and every `config.gin` that Trax wrote, use
these names without a package. The names still mean Trax's configurables once
this package is imported; ours need the full selector, such as
`trax_hourglass.HourglassLM`.
"""

from collections.abc import Mapping
import importlib

from gin import selector_map

from trax_hourglass.configuration import gin_internals
from trax_hourglass.errors import UserError

PREFIX = 'trax_hourglass.'


def is_ours(selector: str) -> bool:
  """Returns whether a full selector names a configurable of this package."""
  return selector.startswith(PREFIX)


class SelectorMap(selector_map.SelectorMap):
  """A map of gin's that resolves a short name we share with Trax to Trax's.

  Attributes:
    resolved: Full selectors by the short ones for which that has happened.
  """

  def __init__(self, on_demand: Mapping[str, str] | None = None):
    """Takes the names registered on demand; see `install`."""
    super().__init__()
    self.resolved: dict[str, str] = {}
    self._on_demand = on_demand or {}

  def matching_selectors(self, partial_selector):
    found = super().matching_selectors(partial_selector)
    if not found:
      for selector, module in self._on_demand.items():
        if f'.{selector}'.endswith(f'.{partial_selector}'):
          importlib.import_module(module).register()
          found = super().matching_selectors(partial_selector)
          break
    others = [name for name in found if not is_ours(name)]
    if len(others) == 1 and len(found) > 1:
      self.resolved[partial_selector] = others[0]
    return others or found


def install(on_demand: Mapping[str, str]) -> None:
  """Replaces gin's registry by a `SelectorMap`.

  Args:
    on_demand: Full selectors, each with the module whose function `register`
      registers it, and is called when the selector is first looked up.
  """
  registry = gin_internals.registry()
  if isinstance(registry, SelectorMap):
    return
  replacement = SelectorMap(on_demand)
  for selector, configurable in registry.items():
    replacement[selector] = configurable
  gin_internals.replace_registry(replacement)


def forget_short() -> None:
  """Forgets which short selectors have been read."""
  gin_internals.registry().resolved.clear()


def check_none_short() -> None:
  """Raises `UserError` if a short selector has been read as Trax's.

  In a configuration that names our model, the user may well have meant ours.
  """
  for short, full in gin_internals.registry().resolved.items():
    ours = PREFIX + full.rpartition('.')[2]
    raise UserError(
      f'gin: Ambiguous selector {short!r}; write one of {full}, {ours}, or '
      "give --model=trax_hourglass.HourglassLM, which takes Trax's bindings"
    )
