"""Reads the gin files and bindings that the flags name."""

import logging

from absl import flags
import gin
from trax import trainer

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

FLAGS = flags.FLAGS

# gin logs an error for each place where a file is not.
logging.getLogger().addFilter(lambda record: record.msg != 'Path not found: %s')


def configure() -> overrides.Overrides:
  """Reads the gin files and bindings that the flags name.

  A file is looked for as given, then among those of this project. --model and
  --dataset may name a model or data set of Trax, or one of ours to replace it.

  Returns:
    The bindings of --config.

  Raises:
    UserError: If gin cannot make sense of the flags, they bind no model, or a
      binding of --config cannot take effect.
  """
  gin.clear_config()
  selectors.forget_short()
  try:
    configured = _read_configuration()
  except UserError:
    raise
  except explain.GIN_ERRORS as error:
    raise UserError(explain.gin_error(error)) from error
  for name in ('dataset', 'data_dir'):  # Trax binds its data_streams to them.
    inputs = values.selector('train.inputs')
    if FLAGS[name].value and inputs.startswith(selectors.PREFIX):
      raise UserError(f'--{name} has no effect on {inputs}; bind its data')
  if bound('train.model') is None:
    raise UserError(
      'train.model is not bound; give a configuration, for example '
      '--config_file=quickstart.gin'
    )
  configured.check()
  return configured


def _read_configuration():
  """Reads the files and bindings; returns the bindings of --config."""
  model, dataset = map(_taken_from_flag, ('model', 'dataset'))
  with files.reading(safety.check if FLAGS.safe else None) as reader:
    trainer._gin_parse_configs()
  if model:
    trax_bindings.take_over(model, reader.given)
  elif _names_our_model():
    selectors.check_none_short()
  trainer._jax_and_tf_configure_for_devices()
  if dataset:
    trax_inputs.replace(dataset)
  return overrides.Overrides(reader.sources, is_model_replaced=bool(model))


def _taken_from_flag(name) -> str | None:
  """Returns a flag's value if it names ours, and hides the flag from Trax."""
  value = FLAGS[name].value
  if not (value or '').startswith(selectors.PREFIX):
    return None
  FLAGS[name].value = None
  return value


def _names_our_model():
  """Returns whether the configuration binds our HourglassLM or parts of it."""
  return values.selector('train.model').startswith(selectors.PREFIX) or bool(
    gin.get_bindings('trax_hourglass.HourglassLM', resolve_references=False)
  )
