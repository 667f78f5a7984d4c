"""What --config binds takes effect, is refused, or is said to have none.

A binding in a scope beats one without. Refused is a binding that is beaten so
wherever it would count. Said to have no effect is what the configuration leads
to from nowhere, whichever the command: what only another command uses is no
mistake, for both may be given the same flags. That goes for macros and the
functions of this package, which are called by gin alone. Trax calls its own
from Python too, so of them only training can tell, once all is built.
"""

from collections.abc import Iterator

import gin

from trax_hourglass import gin_values, hosts, operative
from trax_hourglass.errors import UserError, warn
from trax_hourglass.gin_files import Key

_OURS = 'trax_hourglass.'
_MACRO = 'gin.macro'
# Functions that commands call, each with a parameter that must be bound first.
_CALLED = {
  'trax_hourglass.evaluate': 'text',
  'trax_hourglass.evaluate_images': 'images',
  'trax_hourglass.level_operations': None,
  'trax_hourglass.Loop': None,
  'trax_hourglass.reproduce': None,
}
# Of Trax: called when a run is built, or not at all.
_BUILT_IN_TRAINING = ('trax.optimizers.', 'trax.supervised.lr_schedules.')
_BUILT_AT_ONCE = ('trax.layers.', 'trax.models.', *_BUILT_IN_TRAINING)
_PACKAGES = ('gin', 'trax', 'trax_hourglass')


class Overrides:
  """The bindings of a command line, and whether they take effect."""

  def __init__(
    self, sources: dict[Key, str | None], is_model_replaced: bool = False
  ):
    """Takes the bindings that a reader of gin files has seen.

    Args:
      sources: Those of `gin_files.Reader`.
      is_model_replaced: Whether ours has taken over what is bound to Trax's
        model.
    """
    self._sources = sources
    self._given = [key for key, source in sources.items() if source is None]
    self._without_effect = {}
    self._built_at_once = _BUILT_AT_ONCE
    if is_model_replaced:
      self._built_at_once = _BUILT_IN_TRAINING

  def check(self) -> None:
    """Looks at what is bound, before anything is called.

    Raises:
      UserError: If a binding cannot take effect for another one.
    """
    config = gin.config._CONFIG
    if _has_foreign(config):
      return
    led_to = _led_to(config)
    for key in self._given:
      scope, selector, name = key
      is_switch = not scope and name == _CALLED.get(selector)
      if is_switch or not selector.startswith((_OURS, _MACRO)):
        continue
      calls = _calls_within(led_to, scope, selector)
      self._refuse_if_beaten(key, calls)
      if not calls:
        self._without_effect[key] = 'nothing in the configuration uses it'

  def check_calls(self) -> None:
    """Looks at what was called, when all that a run needs is built.

    Raises:
      UserError: As `check`.
    """
    called = gin.config._OPERATIVE_CONFIG
    named = {
      reference.configurable.selector
      for reference in gin.config.iterate_references(gin.config._CONFIG)
    }
    for key in self._given:
      scope, selector, name = key
      calls = _calls_within(called, scope, selector)
      self._refuse_if_beaten(key, calls)
      if calls:
        if not any(name in called[call, selector] for call in calls):
          self._without_effect[key] = 'whoever calls it gives that itself'
      elif selector.startswith(self._built_at_once) and selector not in named:
        self._without_effect[key] = 'nothing has called it'

  def warn(self) -> None:
    """Names the bindings that have no effect in this command.

    To be called when what the command needs is built.
    """
    without_effect = dict(self._without_effect)
    for key in self._given:
      scope, selector, _ = key
      calls = _calls_within(gin.config._OPERATIVE_CONFIG, scope, selector)
      if others := self._beaten_by(key, calls):
        without_effect[key] = f'{others} beats it wherever it is called here'
    if hosts.is_first():
      for key, why in without_effect.items():
        warn(
          f'--config: {_binding(key)} has no effect: {why}; correct it, or '
          'leave it out'
        )

  def _refuse_if_beaten(self, key, calls):
    if others := self._beaten_by(key, calls):
      raise UserError(
        f'--config: {_binding(key)} has no effect beside {others}, which is '
        'bound in a scope and so beats it; bind that in its place'
      )

  def _beaten_by(self, key, calls) -> str | None:
    """Returns what takes the place of a binding in each of some calls."""
    scope, selector, name = key
    config = gin.config._CONFIG
    winners = {
      operative.supplier(config, call, selector, name) for call in calls
    }
    if not winners or scope in winners:
      return None
    others = [(winner, selector, name) for winner in sorted(winners)]
    return ' and '.join(
      f'{_binding(one)} of {self._sources.get(one) or "--config"}'
      for one in others
    )


def _led_to(config) -> set[tuple[str, str]]:
  """Returns scope and selector of each call that a configuration may lead to.

  And of some that it does not: Trax's functions count as called, wherever they
  are bound, and who takes a function as an argument may call it in its own
  scope or in none.
  """
  waiting = [key for key in config if not key[1].startswith((_OURS, _MACRO))]
  for selector, condition in _CALLED.items():
    bound = config.get(('', selector), {}).get(condition)
    if condition is None or gin_values.without_macros(bound) is not None:
      waiting.append(('', selector))
  found = set()
  while waiting:
    call = waiting.pop()
    if call not in found:
      found.add(call)
      waiting += _callees(config, *call)
  return found


def _callees(config, scope, selector) -> Iterator[tuple[str, str]]:
  """Yields scope and selector of what the values of a call refer to."""
  values = {}
  for place in reversed(operative.enclosing(scope)):
    values.update(config.get((place, selector), {}))
  for reference in gin.config.iterate_references(values):
    scopes = ['/'.join(reference.scopes)] if reference.scopes else [scope]
    if not reference.scopes and not reference.evaluate:
      scopes.append('')
    for one in scopes:
      yield one, reference.configurable.selector


def _calls_within(calls, scope, selector) -> list[str]:
  """Returns the scopes of those calls that a binding in `scope` counts for."""
  return [
    call
    for call, callee in calls
    if callee == selector and scope in operative.enclosing(call)
  ]


def _has_foreign(config):
  """Returns whether functions of a user's are named, which may call others."""
  functions = [gin.config._REGISTRY[selector] for _, selector in config]
  functions += [x.configurable for x in gin.config.iterate_references(config)]
  return any(
    function.wrapped.__module__.partition('.')[0] not in _PACKAGES
    for function in functions
  )


def _binding(key):
  """Returns what is bound, as it is best written."""
  scope, selector, name = key
  if selector == _MACRO:
    return scope
  if not selector.startswith(_OURS):
    selector = gin.config._REGISTRY.minimal_selector(selector)
  return f'{scope}/{selector}.{name}' if scope else f'{selector}.{name}'
