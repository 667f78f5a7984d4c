"""Checks that the bindings of --config take effect.

A binding in a scope overrides one without. A binding of --config is refused if
others override it in every call that it could apply to. If no command can make
such a call with this configuration, a warning says that the binding has no
effect; a binding that only another command uses is no mistake, since both
commands may be given the same flags. This holds for macros and the functions of
this package, which gin alone calls. Trax calls its own functions from Python,
too, so those are checked only in training, once everything is built.
"""

from collections.abc import Iterable, Iterator

import gin

from trax_hourglass.configuration import gin_internals, values
from trax_hourglass.configuration.gin_internals import Key
from trax_hourglass.distribution import hosts
from trax_hourglass.errors import UserError, warn

# Functions that commands call, each with a parameter without which they do not.
_CALLED_BY_COMMANDS = {
  'trax_hourglass.evaluate': 'text',
  'trax_hourglass.evaluate_images': 'images',
  'trax_hourglass.level_operations': None,
  'trax_hourglass.Loop': None,
  'trax_hourglass.reproduce': None,
}
# Modules whose functions are called by gin alone.
_GIN_CALLS = ('gin', 'optax', 'optax.contrib', 'trax_hourglass')
# Trax's modules whose functions are called while a run is built, or never.
_BUILT_IN_TRAINING = ('trax.optimizers', 'trax.supervised.lr_schedules')
_MODEL = ('trax.layers', 'trax.models')

_UNUSED = 'nothing in the configuration uses it'


class Overrides:
  """The bindings of a command line, and whether they take effect."""

  def __init__(
    self, sources: dict[Key, str | None], is_model_replaced: bool = False
  ):
    """Takes the bindings that gin has read.

    Args:
      sources: The `sources` of `reading.Reader`.
      is_model_replaced: Whether the bindings of Trax's model are carried over
        to ours.
    """
    self._sources = sources
    self._given = [key for key, source in sources.items() if source is None]
    self._without_effect = {}
    self._built_at_once = _BUILT_IN_TRAINING
    if not is_model_replaced:
      self._built_at_once += _MODEL

  def check(self) -> None:
    """Checks the bindings before anything is called.

    Raises:
      UserError: If a binding of --config is overridden in every call.
    """
    if _names_foreign_functions():
      return
    reachable = _reachable_calls()
    for key in self._given:
      scope, selector, name = key
      is_switch = not scope and name == _CALLED_BY_COMMANDS.get(selector)
      if is_switch or _module(selector) not in _GIN_CALLS:
        continue
      calls = _calls_within(reachable, scope, selector)
      self._refuse_if_overridden(key, calls)
      if not calls:
        self._without_effect[key] = _UNUSED

  def binds(self, selector: str, name: str) -> bool:
    """Returns whether one of them binds a parameter, in any scope."""
    return any(key[1:] == (selector, name) for key in self._given)

  def check_calls(self) -> None:
    """Checks the bindings against the calls made, once a run is built.

    Raises:
      UserError: If a binding of --config was overridden in every call.
    """
    called = gin_internals.calls()
    references = gin.config.iterate_references(gin_internals.bindings())
    named = {reference.configurable.selector for reference in references}
    for key in self._given:
      scope, selector, name = key
      calls = _calls_within(called, scope, selector)
      self._refuse_if_overridden(key, calls)
      if calls:
        if not any(name in called[call, selector] for call in calls):
          self._without_effect[key] = 'callers pass that argument'
      elif _module(selector) in self._built_at_once and selector not in named:
        self._without_effect[key] = 'nothing calls it'

  def warn(self) -> None:
    """Names the bindings that have no effect in this command.

    Call this once everything that the command needs is built.
    """
    without_effect = dict(self._without_effect)
    called = gin_internals.calls()
    for key in self._given:
      scope, selector, _ = key
      calls = _calls_within(called, scope, selector)
      if others := self._overriding(key, calls):
        without_effect[key] = f'overridden by {others} in every call made here'
      elif calls and without_effect.get(key) == _UNUSED:
        del without_effect[key]  # A flag has led to a call.
    if hosts.is_first():
      for key, why in without_effect.items():
        warn(
          f'--config: {_binding(key)} has no effect: {why}; correct it or '
          'leave it out'
        )

  def _refuse_if_overridden(self, key, calls):
    if others := self._overriding(key, calls):
      raise UserError(
        f'--config: {_binding(key)} has no effect: overridden by {others}, '
        'bound in a scope; bind that instead'
      )

  def _overriding(self, key, calls) -> str | None:
    """Names the bindings that override one in each of `calls`, if some do."""
    scope, selector, name = key
    winners = {values.supplier(call, selector, name) for call in calls}
    if not winners or scope in winners:
      return None
    others = [(winner, selector, name) for winner in sorted(winners)]
    return ' and '.join(
      f'{_binding(one)} in {self._sources.get(one) or "--config"}'
      for one in others
    )


def _reachable_calls() -> set[tuple[str, str]]:
  """Returns scope and selector of each call that the bindings may lead to.

  The set may be too large: every bound function of Trax's counts as called, and
  a function passed as an argument counts both in the scope of its caller and
  without a scope.
  """
  bindings = gin_internals.bindings()
  waiting = [key for key in bindings if _module(key[1]) not in _GIN_CALLS]
  for selector, condition in _CALLED_BY_COMMANDS.items():
    bound = bindings.get(('', selector), {}).get(condition)
    if condition is None or values.without_macros(bound) is not None:
      waiting.append(('', selector))
  reachable = set()
  while waiting:
    call = waiting.pop()
    if call not in reachable:
      reachable.add(call)
      waiting += _callees(bindings, *call)
  return reachable


def _callees(bindings, scope, selector) -> Iterator[tuple[str, str]]:
  """Yields scope and selector of each function that a call's values name."""
  arguments = {}
  for place in reversed(values.enclosing(scope)):
    arguments.update(bindings.get((place, selector), {}))
  for reference in gin.config.iterate_references(arguments):
    scopes = ['/'.join(reference.scopes)] if reference.scopes else [scope]
    if not reference.scopes and not reference.evaluate:
      scopes.append('')
    for one in scopes:
      yield one, reference.configurable.selector


def _calls_within(
  calls: Iterable[tuple[str, str]], scope: str, selector: str
) -> list[str]:
  """Returns the scopes of those calls that a binding in `scope` applies to."""
  return [
    call
    for call, callee in calls
    if callee == selector and scope in values.enclosing(call)
  ]


def _names_foreign_functions():
  """Returns whether user functions are named, which may call any others."""
  bindings, registry = gin_internals.bindings(), gin_internals.registry()
  functions = [registry[selector] for _, selector in bindings]
  functions += [x.configurable for x in gin.config.iterate_references(bindings)]
  packages = set(map(values.package, functions))
  return not packages <= {'gin', 'optax', 'trax', 'trax_hourglass'}


def _module(selector):
  return gin_internals.registry()[selector].module


def _binding(key):
  """Returns a binding's left-hand side, as short as gin allows it."""
  scope, selector, name = key
  if selector == 'gin.macro':
    return scope
  if _module(selector) != 'trax_hourglass':
    selector = gin_internals.registry().minimal_selector(selector)
  return f'{scope}/{selector}.{name}' if scope else f'{selector}.{name}'
