"""Values and references that gin has bound to parameters."""

import copy

import gin


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
  """Returns a bound value, with a reference to a macro replaced by its value.

  Args:
    bound_value: A value or reference, such as `%NAME`, which may lead to
      another macro.
  """
  result = bound_value
  while is_reference(result) and result.configurable.selector == 'gin.macro':
    result = gin.query_parameter('/'.join(result.scopes) + '/gin.macro.value')
  return result


def is_reference(bound_value) -> bool:
  """Returns whether a value is a reference, `@NAME`, `@NAME()` or `%NAME`."""
  return isinstance(bound_value, gin.config.ConfigurableReference)


def selector(parameter: str) -> str:
  """Returns the full selector of the function bound to a parameter.

  It may be bound through a macro, in a scope or by a short name. Returns '' if
  no function is bound.
  """
  function = without_macros(bound(parameter))
  return function.configurable.selector if is_reference(function) else ''


def argument(parameter: str, name: str):
  """Returns an argument that gin gives to the function bound to a parameter.

  Args:
    parameter: For example `'train.inputs'`.
    name: The argument. References in its value are called, in the function's
      scope.

  Returns:
    The value; `None` if no function is bound, or no such argument.
  """
  function = without_macros(bound(parameter))
  if not is_reference(function):
    return None
  scoped = '/'.join([*function.scopes, function.configurable.selector])
  values = gin.get_bindings(scoped, resolve_references=False)
  with gin.config_scope(list(function.scopes)):
    return copy.deepcopy(values.get(name))
