"""Which of two configurables of one name a short gin selector means.

Trax and this package both have a `HourglassLM`, a `LinearPooling`, .... Gin
files that know Trax alone, such as the authors' and every `config.gin` that
Trax wrote, name them without a package. They go on meaning Trax's wherever this
package is imported; ours are named in full, `trax_hourglass.HourglassLM`.
"""

import gin
from gin import selector_map

from trax_hourglass.errors import UserError

PREFIX = 'trax_hourglass.'


class SelectorMap(selector_map.SelectorMap):
  """A map of gin's in which ours give way to others of the same short name.

  Attributes:
    given_way: The short selectors for which that has happened, and what each
      means.
  """

  def __init__(self):
    super().__init__()
    self.given_way: dict[str, str] = {}

  def matching_selectors(self, partial_selector):
    found = super().matching_selectors(partial_selector)
    others = [name for name in found if not name.startswith(PREFIX)]
    if len(others) == 1 and len(found) > 1:
      self.given_way[partial_selector] = others[0]
    return others or found


def install() -> None:
  """Lets gin look names up in a `SelectorMap`.

  gin has no public way to say which configurable a name means.
  """
  registry = gin.config._REGISTRY
  if isinstance(registry, SelectorMap):
    return
  preferring = SelectorMap()
  for selector, configurable in registry.items():
    preferring[selector] = configurable
  gin.config._REGISTRY = preferring


def forget_short() -> None:
  """Forgets which short selectors have been read."""
  gin.config._REGISTRY.given_way.clear()


def check_none_short() -> None:
  """Raises `UserError` if a short selector has been read as Trax's.

  For a configuration that names both models: there it is a mistake of the user
  as often as not.
  """
  for short, full in gin.config._REGISTRY.given_way.items():
    ours = PREFIX + full.rpartition('.')[2]
    raise UserError(
      f'gin: Ambiguous selector {short!r}; write one of {full}, {ours}, or '
      "give --model=trax_hourglass.HourglassLM, which takes Trax's bindings"
    )
