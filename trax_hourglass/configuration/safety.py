"""With --safe, gin files may only bind what is Trax's, Optax's or ours."""

from gin import config_parser

from trax_hourglass.configuration import gin_internals, values
from trax_hourglass.errors import UserError

# A file may import these packages and name their functions.
_PACKAGES = ('optax', 'trax', 'trax_hourglass')


def check(path: str, text: str) -> None:
  """Raises `UserError` if a file does more than bind what is known.

  Values are literals, as in every gin file. Files that it includes are checked
  when they are read.

  Args:
    path: The file's name, for the error.
    text: Its content.
  """
  for statement in config_parser.ConfigParser(text, _Delegate(path)):
    match statement:
      case config_parser.ImportStatement():
        if statement.module.partition('.')[0] not in _PACKAGES:
          raise _refused(path, f'an import of {statement.module}')
      case config_parser.IncludeStatement():
        pass
      case config_parser.BindingStatement() | config_parser.BlockDeclaration():
        _check_known(path, statement.selector)
      case _:
        raise _refused(path, f'a {type(statement).__name__}')


class _Delegate(config_parser.ParserDelegate):
  """Checks each `@name` in a file."""

  def __init__(self, path):
    self._path = path

  def configurable_reference(self, scoped_configurable_name, evaluate):
    del evaluate
    _check_known(self._path, scoped_configurable_name.rpartition('/')[2])

  def macro(self, macro_name):
    del macro_name


def _check_known(path, selector):
  for configurable in gin_internals.registry().get_all_matches(selector):
    # gin's own are macros, constants and singletons.
    if values.package(configurable) not in ('gin', *_PACKAGES):
      module = configurable.wrapped.__module__
      raise _refused(path, f'{selector}, which is of {module}')


def _refused(path, what):
  return UserError(
    f'--safe: got {what} in {path}, expected bindings of Trax, '
    'Optax and trax_hourglass alone; take it out, or leave --safe out if you '
    'trust it'
  )
