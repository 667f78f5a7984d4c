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
