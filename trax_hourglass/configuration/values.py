"""Values and references bound to parameters, and the scopes that apply."""

import copy
import functools

import gin

from trax_hourglass.configuration import gin_internals


def bound(parameter: str):
  """Returns the value or reference bound to a parameter, `None` if none is."""
  try:
    return gin.query_parameter(parameter)
  except ValueError:
    return None


def value(parameter: str, default=None):
  """Returns the value of a parameter, with its references called.

  Args:
    parameter: For example `'train.steps'`.
    default: Returned if the parameter is not bound, or bound to `None`.
  """
  # gin calls references when they are copied.
  result = copy.deepcopy(bound(parameter))
  return default if result is None else result


def without_macros(bound_value):
  """Returns a bound value, with macros such as `%NAME` replaced by theirs."""
  result = bound_value
  while is_reference(result) and result.configurable.selector == 'gin.macro':
    result = gin.query_parameter('/'.join(result.scopes) + '/gin.macro.value')
  return result


def is_reference(bound_value) -> bool:
  """Returns whether a value is a reference, `@NAME`, `@NAME()` or `%NAME`."""
  return isinstance(bound_value, gin.config.ConfigurableReference)


def reference(parameter: str) -> gin.config.ConfigurableReference | None:
  """Returns the reference to a function bound to a parameter, if one is.

  The function may be bound through a macro, in a scope or by a short name.
  """
  found = without_macros(bound(parameter))
  return found if is_reference(found) else None


def selector(parameter: str) -> str:
  """Returns the full selector of the function bound to a parameter, or ''."""
  found = reference(parameter)
  return found.configurable.selector if found else ''


def argument(parameter: str, name: str):
  """Returns an argument that gin gives to the function bound to a parameter.

  References in its value are called, in the function's scope. Returns `None` if
  no function is bound, or no such argument.
  """
  found = reference(parameter)
  if not found:
    return None
  arguments = effective(found.configurable.selector, found.scopes)
  with gin.config_scope(list(found.scopes)):
    return copy.deepcopy(arguments.get(name))


def effective(selector: str, scopes: list[str]) -> dict:
  """Returns values by parameter in nested scopes; inner ones override."""
  return gin.get_bindings(
    '/'.join([*scopes, selector]), resolve_references=False
  )


def enclosing(scope: str) -> list[str]:
  """Returns the scopes that a call in a scope looks in, innermost first."""
  parts = scope.split('/') if scope else []
  return ['/'.join(parts[:i]) for i in range(len(parts), -1, -1)]


def supplier(scope: str, selector: str, name: str) -> str | None:
  """Returns the scope that supplies a parameter to a call in `scope`."""
  bindings = gin_internals.bindings()
  for place in enclosing(scope):
    if name in bindings.get((place, selector), ()):
      return place
  return None


def package(configurable: gin.config.Configurable) -> str:
  """Returns the name of the package that defines a function."""
  return configurable.wrapped.__module__.partition('.')[0]


def arguments(function, scopes=()) -> dict:
  """Returns all arguments that gin gives to a function, none left to gin.

  A function among them is the original one, and `functools.partial` of it where
  gin would give it arguments in its turn.

  Args:
    function: A reference to a function.
    scopes: Those of its caller.
  """
  scopes = list(function.scopes or scopes)
  bound_values = effective(function.configurable.selector, scopes)

  def resolved(bound_value):
    result = without_macros(bound_value)
    if not is_reference(result) or result.evaluate:
      with gin.config_scope(scopes):
        return copy.deepcopy(result)
    original = result.configurable.wrapped
    options = arguments(result, scopes)
    # A model passes these by position.
    options = {
      name: options[name]
      for name in options.keys() - {'d_model', 'shorten_factor'}
    }
    return functools.partial(original, **options) if options else original

  return {name: resolved(value) for name, value in bound_values.items()}
