"""Reads the gin files and bindings that configure a command."""

from collections.abc import Sequence
import contextlib
import logging
from typing import TypedDict

import gin

from trax_hourglass import runtime
from trax_hourglass.configuration import (
  explain,
  files,
  overrides,
  safety,
  selectors,
  trax_bindings,
  trax_inputs,
  values,
)
from trax_hourglass.configuration.values import bound
from trax_hourglass.errors import UserError

# gin logs an error for each place where a file is not.
logging.getLogger().addFilter(lambda record: record.msg != 'Path not found: %s')


class Configuration(TypedDict, total=False):
  """Keyword arguments that configure a command: its flags of these names.

  Attributes:
    config_file: A gin file or several, looked for as given, then among those of
      this project.
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
    bindings.append(f"data_streams.dataset_name = '{trax_dataset}'")
  if data_dir:
    bindings.append(f"data_streams.data_dir = '{data_dir}'")
  if model and not _is_ours(model):
    bindings.append(f'train.model = @trax.models.{model}')
  try:
    with files.reading(safety.check if safe else None) as reader:
      gin.parse_config_files_and_bindings(config_files, bindings)
    if _is_ours(model):
      trax_bindings.take_over(model, reader.given)
    elif _names_our_model():
      selectors.check_none_short()
    if _is_ours(dataset):
      trax_inputs.replace(dataset)
  except UserError:
    raise
  except explain.GIN_ERRORS as error:
    raise UserError(explain.gin_error(error)) from error
  configured = overrides.Overrides(reader.sources, _is_ours(model))
  _check(trax_dataset, data_dir)
  configured.check()
  return configured


def _is_ours(name: str | None) -> bool:
  return (name or '').startswith(selectors.PREFIX)


def _check(trax_dataset, data_dir):
  """Raises `UserError` if a model is missing, or data are without effect."""
  inputs = values.selector('train.inputs')
  for name, value in {'dataset': trax_dataset, 'data_dir': data_dir}.items():
    if value and inputs.startswith(selectors.PREFIX):
      raise UserError(f'--{name} has no effect on {inputs}; bind its data')
  if bound('train.model') is None:
    raise UserError(
      'train.model is not bound; give a configuration, for example '
      '--config_file=quickstart.gin'
    )


def _names_our_model():
  """Returns whether the configuration binds our HourglassLM or parts of it."""
  return values.selector('train.model').startswith(selectors.PREFIX) or bool(
    gin.get_bindings('trax_hourglass.HourglassLM', resolve_references=False)
  )
