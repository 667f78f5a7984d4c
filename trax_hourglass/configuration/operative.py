"""The operative configuration: the values that gin supplied, as a file.

gin writes the parameters of a call in a scope as bound in that scope. A call
through a macro has the macro's name for its scope, so for

  TEXT = @trax_hourglass.text_file()
  trax_hourglass.text_file.path = 'book.txt'

gin writes `TEXT/trax_hourglass.text_file.path = 'book.txt'`, which no binding
of `trax_hourglass.text_file.path` overrides.
"""

import collections
import io
import re

from gin import config_parser

from trax_hourglass.configuration import gin_internals, values

# The comment with which gin introduces a function that was called in a scope.
_CALLED_IN_SCOPE = re.compile(r'^# Parameters for (\S+)/([^\s/]+):$', re.M)


def text() -> str:
  """Returns `gin.operative_config_str()`, each value in its binding's scope.

  The same bindings then override the written file and the original one.
  Defaults, which no scope binds, are written without a scope.
  """
  called = {}
  for (scope, selector), arguments in gin_internals.calls().items():
    # The scope of a macro is its name.
    is_macro = gin_internals.registry()[selector].module == 'gin'
    called.setdefault((scope if is_macro else '', selector), {})
    for name, value in arguments.items():
      place = scope if is_macro else values.supplier(scope, selector, name)
      called.setdefault((place or '', selector), {})[name] = value
  return gin_internals.format_calls(called)


def without_macro_scopes(content: str, path: str) -> str:
  """Returns an operative configuration that gin wrote, as `text` would have.

  A parameter with the same value in all scopes was bound without a scope, or
  might as well have been, so its scopes are dropped. If its values differ, they
  stay. Files that gin did not write are returned unchanged.

  Args:
    content: The file's text.
    path: The file's name, for errors.
  """
  called = set(_CALLED_IN_SCOPE.findall(content))
  if not called:
    return content
  lines = io.StringIO(content)
  lines.name = path
  bound = collections.defaultdict(list)
  for statement in config_parser.ConfigParser(lines, _References()):
    if isinstance(statement, config_parser.BindingStatement):
      bound[statement.selector, statement.arg_name].append(statement)
  lines = content.splitlines(keepends=True)
  for (selector, _), statements in bound.items():
    scoped = [statement for statement in statements if statement.scope]
    if len({repr(statement.value) for statement in statements}) == 1 and all(
      (statement.scope, selector) in called for statement in scoped
    ):
      for statement in scoped:
        i = statement.location.line_num - 1
        lines[i] = lines[i].removeprefix(f'{statement.scope}/')
  return ''.join(lines)


class _References(config_parser.ParserDelegate):
  """Parses `@name` and `%NAME` into tuples, without looking them up."""

  def configurable_reference(self, scoped_configurable_name, evaluate):
    return '@', scoped_configurable_name, evaluate

  def macro(self, macro_name):
    return '%', macro_name
