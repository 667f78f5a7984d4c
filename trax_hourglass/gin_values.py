"""What gin has for a parameter."""

import copy

import gin


def bound(parameter: str):
  """Returns what is bound to a parameter, references as such; else `None`."""
  try:
    return gin.query_parameter(parameter)
  except ValueError:
    return None


def value(parameter: str, otherwise=None):
  """Returns what a parameter comes to: references are called; else `None`.

  Args:
    parameter: As `'train.steps'`.
    otherwise: Its default, in place of `None`.
  """
  found = copy.deepcopy(bound(parameter))
  return otherwise if found is None else found


def without_macros(found):
  """Returns what is bound in the place of a macro: `%NAME` has none of its own.

  Args:
    found: A value, which may be the reference to a macro.
  """
  while is_reference(found) and found.configurable.selector == 'gin.macro':
    found = gin.query_parameter('/'.join(found.scopes) + '/gin.macro.value')
  return found


def is_reference(found) -> bool:
  """Returns whether a value is a reference, `@NAME`, `@NAME()` or `%NAME`."""
  return isinstance(found, gin.config.ConfigurableReference)


def selector(parameter: str) -> str:
  """Returns the full selector of the function bound to a parameter.

  However that was written: through a macro, in a scope, by a short name. The
  empty string where no function is bound.
  """
  found = without_macros(bound(parameter))
  return found.configurable.selector if is_reference(found) else ''


def argument(parameter: str, name: str):
  """Returns what the function bound to a parameter is given for an argument.

  Args:
    parameter: As `'train.inputs'`.
    name: The argument. References in its value are called, in the function's
      scope.

  Returns:
    The value; `None` if no function or nothing is bound.
  """
  function = without_macros(bound(parameter))
  if not is_reference(function):
    return None
  scoped = '/'.join([*function.scopes, function.configurable.selector])
  values = gin.get_bindings(scoped, resolve_references=False)
  with gin.config_scope(list(function.scopes)):
    return copy.deepcopy(values.get(name))
