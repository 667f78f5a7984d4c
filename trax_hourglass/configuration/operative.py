"""Configurations as files: the values that gin supplied, or all bindings.

gin writes the parameters of a call in a scope as bound in that scope. A call
through a macro has the macro's name for its scope, so for

  TEXT = @trax_hourglass.text_file()
  trax_hourglass.text_file.path = 'book.txt'

gin writes `TEXT/trax_hourglass.text_file.path = 'book.txt'`, which no binding
of `trax_hourglass.text_file.path` overrides.

Our files have each value in the scope of its binding, and a comment for every
function without a scope, too: in them no parameter bound in scopes alone looks
as if each call had been given it.
"""

import collections
import io
import re

from gin import config_parser

from trax_hourglass.configuration import gin_internals, values

# The comment with which gin introduces a function that was called, in a scope
# or without one.
_CALL = re.compile(r'^# Parameters for (?:(\S+)/)?([^\s/]+):$', re.M)


def all_bindings() -> str:
  """Returns `gin.config_str()` as a file of ours."""
  bound = gin_internals.bindings()
  unscoped = {('', x): {} for _, x in bound if not _is_macro(x)}
  return gin_internals.format_bindings({**unscoped, **bound})


def operative_bindings() -> str:
  """Returns `gin.operative_config_str()`, each value in its binding's scope.

  The same bindings then override the written file and the original one.
  Defaults, which no scope binds, are written without a scope.
  """
  called = {}
  for (scope, selector), arguments in gin_internals.calls().items():
    is_macro = _is_macro(selector)
    called.setdefault((scope if is_macro else '', selector), {})
    for name, value in arguments.items():
      place = scope if is_macro else values.supplier(scope, selector, name)
      called.setdefault((place or '', selector), {})[name] = value
  return gin_internals.format_bindings(called)


def _is_macro(selector):
  """Returns whether a scope is a macro's name."""
  return gin_internals.registry()[selector].module == 'gin'


def without_macro_scopes(content: str, path: str) -> str:
  """Returns an operative configuration that gin wrote as ours would be.

  A parameter that has the same value in each scope in which the function was
  called was bound without a scope, or might as well have been, so its scopes
  are dropped. Otherwise they stay. Files that gin did not write are returned
  unchanged.

  Args:
    content: The file's text.
    path: The file's name, for errors.
  """
  called = collections.defaultdict(set)
  for scope, selector in _CALL.findall(content):
    called[selector].add(scope)
  if not any(map(any, called.values())):
    return content
  lines = io.StringIO(content)
  lines.name = path
  bound = collections.defaultdict(list)
  for statement in config_parser.ConfigParser(lines, _References()):
    if isinstance(statement, config_parser.BindingStatement):
      bound[statement.selector, statement.arg_name].append(statement)
  lines = content.splitlines(keepends=True)
  for (selector, _), statements in bound.items():
    is_same = len({repr(statement.value) for statement in statements}) == 1
    if is_same and called[selector] == {one.scope for one in statements}:
      for statement in filter(lambda one: one.scope, statements):
        i = statement.location.line_num - 1
        lines[i] = lines[i].removeprefix(f'{statement.scope}/')
  return ''.join(lines)


class _References(config_parser.ParserDelegate):
  """Parses `@name` and `%NAME` into tuples, without looking them up."""

  def configurable_reference(self, scoped_configurable_name, evaluate):
    return '@', scoped_configurable_name, evaluate

  def macro(self, macro_name):
    return '%', macro_name
