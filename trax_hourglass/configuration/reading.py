"""Reads the gin files and bindings that configure a command.

An included file is looked for beside the including file first, which gin itself
never does; if there is none, or only the including file itself, then in the
current directory and among this project's files, as any gin file is. Paths that
this project's own files include are relative to the folder that holds them all,
as gin expects them to be.
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import io
import logging
import os
from typing import TypedDict

import gin

from trax_hourglass import addresses, runtime
from trax_hourglass.configuration import (
  explain,
  gin_internals,
  operative,
  overrides,
  safety,
  selectors,
  trax_bindings,
  trax_inputs,
  values,
)
from trax_hourglass.configuration.gin_internals import Key
from trax_hourglass.errors import UserError

# gin logs an error for each place where a file is not.
logging.getLogger().addFilter(lambda record: record.msg != 'Path not found: %s')


class Configuration(TypedDict, total=False):
  """Keyword arguments that configure a command: its flags of these names.

  Attributes:
    config_file: A gin file or several, looked for as given, then among those of
      this project; or addresses.
    config: Bindings that override those of the files.
    model: A model of Trax, or ours to replace it.
    dataset: A data set of Trax, or one of ours to replace it.
    data_dir: Where Trax finds its data sets.
    safe: Whether files may only bind what Trax and this package have.
  """

  config_file: str | Sequence[str] | None
  config: Sequence[str] | None
  model: str | None
  dataset: str | None
  data_dir: str | None
  safe: bool


def configure(
  *,
  config_file: str | Sequence[str] | None = None,
  config: Sequence[str] | None = None,
  model: str | None = None,
  dataset: str | None = None,
  data_dir: str | None = None,
  safe: bool = False,
) -> overrides.Overrides:
  """Binds what gin files and bindings say, in place of all that was bound.

  Its arguments are those of `Configuration`.

  Returns:
    The bindings of `config`.

  Raises:
    UserError: If gin cannot make sense of them, they bind no model, or a
      binding of `config` cannot take effect.
  """
  with contextlib.suppress(RuntimeError):  # TensorFlow holds one already.
    runtime.leave_gpu_to_jax()
  gin.clear_config()
  selectors.forget_short()
  config_files = [config_file] if isinstance(config_file, str) else config_file
  # As trax.trainer binds them; ours are put in their place below.
  trax_dataset = None if _is_ours(dataset) else dataset
  bindings = list(config or ())
  if trax_dataset:
    bindings.append(f'data_streams.dataset_name = {trax_dataset!r}')
  if data_dir:
    bindings.append(f'data_streams.data_dir = {data_dir!r}')
  if model and not _is_ours(model):
    bindings.append(f'train.model = @trax.models.{model}')
  try:
    with reading(safety.check if safe else None) as sources:
      gin.parse_config_files_and_bindings(config_files, bindings)
    if _is_ours(model):
      given = [key for key, source in sources.items() if source is None]
      trax_bindings.take_over(model, given)
    elif _names_our_model():
      selectors.check_none_short()
    if _is_ours(dataset):
      trax_inputs.replace(dataset)
  except UserError:
    raise
  except explain.GIN_ERRORS as error:
    raise UserError(explain.gin_error(error)) from error
  configured = overrides.Overrides(sources, _is_ours(model))
  _check(trax_dataset, data_dir)
  configured.check()
  return configured


def _is_ours(name: str | None) -> bool:
  return selectors.is_ours(name or '')


def _check(trax_dataset, data_dir):
  """Raises `UserError` if a model is missing, or data are without effect."""
  inputs = values.selector('train.inputs')
  for name, value in {'dataset': trax_dataset, 'data_dir': data_dir}.items():
    if value and _is_ours(inputs):
      raise UserError(
        f'--{name} has no effect on {inputs}; bind its data, or leave it out'
      )
  if values.bound('train.model') is None:
    raise UserError(
      'train.model is not bound; give a configuration, for example '
      '--config_file=quickstart.gin'
    )


def _names_our_model():
  """Returns whether the configuration binds our HourglassLM or parts of it."""
  return _is_ours(values.selector('train.model')) or bool(
    gin.get_bindings('trax_hourglass.HourglassLM', resolve_references=False)
  )


@contextlib.contextmanager
def reading(
  check: Callable[[str, str], None] | None = None,
) -> Iterator[dict[Key, str | None]]:
  """Lets gin read files as this module describes while the body runs.

  Args:
    check: Called with the path and the text of each file before gin reads it.

  Yields:
    For each parameter that is bound, the path of the file that binds it last;
    `None` for the command line.
  """
  reader = _Reader(check)
  originals = gin.config.parse_config_file, gin.config.bind_parameter
  gin.config.parse_config_file = reader.parse_config_file
  gin.config.bind_parameter = reader.bind_parameter
  try:
    yield reader.sources
  except UserError as error:  # gin adds each line that includes the file.
    raise UserError(str(error).partition('\n  In ')[0]) from error
  finally:
    gin.config.parse_config_file, gin.config.bind_parameter = originals


class _Reader:
  """Stands in for two functions of gin, and records which file bound what."""

  def __init__(self, check):
    self.sources = {}
    self._check = check
    self._open = []
    self._bind = gin.config.bind_parameter

  def parse_config_file(
    self, config_file, skip_unknown=False, print_includes_and_imports=False
  ):
    del print_includes_and_imports  # Trax asks for none.
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
    return gin.config.ParsedConfigFileIncludesAndImports(
      path, imports, includes
    )

  def bind_parameter(self, binding_key, value):
    self._bind(binding_key, value)
    scope, _, selector, name = gin.config.ParsedBindingKey.parse(binding_key)
    source = self._open[-1] if self._open else None
    self.sources[scope, selector, name] = source

  def _find(self, name):
    if addresses.is_address(name):
      return name
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
      _beside(including, path),
      *candidates,
    ]
    candidates = dict.fromkeys(map(_absolute, candidates))
    files = list(filter(_is_file, candidates))
    # A file may have the same name as the file that it builds on.
    if others := [one for one in files if not _is_same(one, including)]:
      return others[0]
    if files:
      raise _includes_itself(including)
    raise UserError(
      f'gin: {including} includes {name!r}, but there is no such file (looked '
      f'for {", ".join(candidates)}); correct the `include`'
    )


def _beside(including, path):
  if addresses.is_address(including) and not os.path.isabs(path):
    return addresses.join(addresses.split(including)[0], path)
  return os.path.join(os.path.dirname(including), path)


def _absolute(path):
  return path if addresses.is_address(path) else os.path.abspath(path)


def _is_file(path):
  if addresses.is_address(path):
    return addresses.exists(path)
  return os.path.isfile(path)


def _is_same(path, other):
  if addresses.is_address(path) or addresses.is_address(other):
    return path == other
  return os.path.samefile(path, other)


def _includes_itself(path):
  return UserError(f'gin: {path} includes itself; remove that `include`')


def _read(path):
  try:  # Editors of Windows begin a file with a byte order mark.
    with open(addresses.local(path), encoding='utf-8-sig') as file:
      return file.read()
  except UnicodeDecodeError as error:
    raise UserError(
      f'{path} is not a text file; give a gin file in UTF-8'
    ) from error
