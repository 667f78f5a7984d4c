"""Reading of gin files and of the files that they include.

An included file is looked for beside the including file first, which gin itself
never does; if there is none, or only the including file itself, then in the
current directory and among this project's files, as any gin file is. Paths that
this project's own files include are relative to the folder that holds them all,
as gin expects them to be.
"""

from collections.abc import Callable, Iterator
import contextlib
import io
import os

import gin

from trax_hourglass.configuration import gin_internals, operative
from trax_hourglass.configuration.gin_internals import Key
from trax_hourglass.errors import UserError


class Reader:
  """Reads gin files in place of gin, and records which file bound what.

  Attributes:
    sources: For each parameter that was bound, the path of the file that bound
      it last; `None` for the command line.
  """

  def __init__(self, check: Callable[[str, str], None] | None = None):
    """Takes a function that is called with the path and text of each file."""
    self.sources: dict[Key, str | None] = {}
    self._check = check
    self._open = []
    self._bind = gin.config.bind_parameter

  @property
  def given(self) -> list[Key]:
    """The bindings of the command line."""
    return [key for key, source in self.sources.items() if source is None]

  def parse_config_file(
    self, config_file, skip_unknown=False, print_includes_and_imports=False
  ):
    """Does what gin's function of this name does."""
    path = self._find(config_file)
    if path in self._open:
      raise _includes_itself(path)
    text = _read(path)
    if self._check:
      self._check(path, text)
    lines = io.StringIO(operative.without_macro_scopes(text, path))
    lines.name = path  # For gin's errors.
    self._open.append(path)
    includes, imports = gin.parse_config(lines, skip_unknown)
    self._open.pop()
    parsed = gin.config.ParsedConfigFileIncludesAndImports(
      path, imports, includes
    )
    if print_includes_and_imports:
      gin.config.log_includes_and_imports(parsed)
    return parsed

  def bind_parameter(self, binding_key, value):
    """Does what gin's function of this name does."""
    self._bind(binding_key, value)
    key = gin.config.ParsedBindingKey.parse(binding_key).scope_selector_arg
    self.sources[key] = self._open[-1] if self._open else None

  def _find(self, name):
    path = os.path.expanduser(name)
    places = [] if os.path.isabs(path) else gin_internals.search_path()
    candidates = [os.path.join(place, path) for place in places] or [path]
    if not self._open:
      found = next(filter(os.path.isfile, candidates), None)
      if found is None:
        # In gin's own words.
        raise OSError(
          f'Unable to open file: {name}. Searched config paths: {places}.'
        )
      return os.path.abspath(found)
    including = self._open[-1]
    roots = [
      place
      for place in map(os.path.abspath, filter(None, places))
      if including.startswith(os.path.join(place, ''))
    ]
    candidates = [
      *(os.path.join(place, path) for place in roots),
      os.path.join(os.path.dirname(including), path),
      *candidates,
    ]
    candidates = dict.fromkeys(map(os.path.abspath, candidates))
    files = [one for one in candidates if os.path.isfile(one)]
    # A file may have the same name as the file that it builds on.
    if others := [one for one in files if not os.path.samefile(one, including)]:
      return others[0]
    if files:
      raise _includes_itself(including)
    raise UserError(
      f'gin: {including} includes {name!r}, but there is no such file (looked '
      f'for {", ".join(candidates)}); correct the `include`'
    )


@contextlib.contextmanager
def reading(
  check: Callable[[str, str], None] | None = None,
) -> Iterator[Reader]:
  """Replaces gin's functions for reading, in the body, by those of a reader.

  Args:
    check: Called with the path and the text of each file before gin reads it.
  """
  reader, names = Reader(check), ('parse_config_file', 'bind_parameter')
  originals = {name: getattr(gin.config, name) for name in names}
  try:
    for name in names:
      setattr(gin.config, name, getattr(reader, name))
    yield reader
  except UserError as error:  # gin adds each line that includes the file.
    raise UserError(str(error).partition('\n  In ')[0]) from error
  finally:
    for name, original in originals.items():
      setattr(gin.config, name, original)


def _includes_itself(path):
  return UserError(f'gin: {path} includes itself; remove that `include`')


def _read(path):
  try:
    with open(path, encoding='utf-8') as file:
      return file.read()
  except UnicodeDecodeError as error:
    raise UserError(
      f'{path}: got a file that is not text; give a gin file in UTF-8'
    ) from error
