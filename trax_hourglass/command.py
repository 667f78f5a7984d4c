"""What the commands share: flags, gin files, devices, and a user's mistakes."""

from collections.abc import Sequence
import contextlib
import logging as std_logging
import os
import sys
import tokenize

from absl import app, flags, logging
import gin
import jax
import tensorflow as tf
from trax import fastmath, trainer
from trax.layers import base

from trax_hourglass import runtime
from trax_hourglass.errors import UserError

FLAGS = flags.FLAGS

# Flags of trax.trainer that do nothing there, or need a JAX of 2021.
_DEAD_FLAGS = (
  'async_mode',
  'envs_output_dir',
  'eval_batch_size',
  'gpu_cluster_chief_ip',
  'gpu_cluster_host_id',
  'gpu_cluster_n_hosts',
  'gpu_cluster_port',
  'jax_debug_nans',
  'parallelize_envs',
  'train_batch_size',
  'trajectory_dump_dir',
  'xm',
)

# gin logs an error for each place where a file is not.
std_logging.getLogger().addFilter(
  lambda record: record.msg != 'Path not found: %s'
)


@contextlib.contextmanager
def exit_codes():
  """Ends the process as a command should; a decorator of `main`.

  A user's mistake prints one line and exits with 2, Ctrl-C exits with 130.
  """
  try:
    yield
  except UserError as error:
    print(f'error: {_one_line(error)}', file=sys.stderr)
    raise SystemExit(2) from error
  except KeyboardInterrupt as error:
    print(f'\n{str(error) or "interrupted"}', file=sys.stderr)
    raise SystemExit(130) from error


@contextlib.contextmanager
def building():
  """Raises a `UserError` for whatever a configuration can do wrong.

  That is, for a ValueError or OSError, also inside Trax's `LayerError`, and for
  arguments that gin found no binding for. Anything else is a bug of ours, and
  keeps its traceback.
  """
  try:
    yield
  except Exception as error:
    cause = error
    while isinstance(cause, base.LayerError):
      cause = cause.__context__
    unbound = (
      'Required bindings for',
      'No values supplied by Gin or caller for arguments',
    )
    if not isinstance(cause, (ValueError, OSError, tf.errors.OpError)) and not (
      any(text in str(cause) for text in unbound)
    ):
      raise
    logging.debug('While building', exc_info=error)
    raise UserError(_one_line(cause)) from error


def start(argv: Sequence[str]) -> None:
  """Reads flags and sets the process up as they say.

  Raises:
    UserError: If a flag is unknown, malformed or without effect.
  """
  app.define_help_flags()
  FLAGS.unparse_flags()
  try:
    _, *arguments = FLAGS(argv)
  except flags.Error as error:
    raise UserError(f'{error}; --helpfull lists the flags') from error
  if arguments:
    raise UserError(f'argument {arguments[0]!r}: expected flags alone')
  for name in _DEAD_FLAGS:
    if FLAGS[name].present:
      raise UserError(f'--{name} has no effect any more; leave it out')
  # The flag's default would mix Trax's log with the progress bar.
  if FLAGS['log_level'].present:
    logging.use_absl_handler()
    logging.set_verbosity(FLAGS.log_level)
  runtime.leave_gpu_to_jax()
  _keep_compiled_programs()
  trainer._tf_setup_from_flags()
  if FLAGS.disable_jit:
    fastmath.disable_jit()


def configure() -> None:
  """Reads the gin files and bindings that the flags name.

  A file is looked for as given, then among those of this project.

  Raises:
    UserError: If gin cannot make sense of them, or they bind no model.
  """
  gin.clear_config()
  try:
    trainer._gin_parse_configs()
  except (ValueError, LookupError, OSError, ImportError, SyntaxError) as error:
    raise UserError(_one_line(error)) from error
  except tokenize.TokenError as error:
    raise UserError(f'gin: {error.args[0]}, in the last line') from error
  trainer._jax_and_tf_configure_for_devices()
  for name in ('dataset', 'data_dir'):  # Trax binds its data_streams to them.
    if FLAGS[name].present and 'text_inputs' in str(bound('train.inputs')):
      raise UserError(
        f'--{name} has no effect on trax_hourglass.text_inputs; bind its text'
      )
  if bound('train.model') is None:
    raise UserError(
      'train.model is not bound; give a configuration, for example '
      '--config_file=quickstart.gin'
    )


def bound(parameter: str):
  """Returns what gin has for a parameter, references as such; else `None`."""
  try:
    return gin.query_parameter(parameter)
  except ValueError:
    return None


def evaluator():
  """Returns `trax_hourglass.evaluate` as configured; `None` without a text."""
  if bound('trax_hourglass.evaluate.text') is None:
    return None
  return gin.get_configurable('trax_hourglass.evaluate')()


def _keep_compiled_programs():
  """Lets the next process load what XLA compiled in this one."""
  directory = os.path.expanduser('~/.cache/trax_hourglass/jax')
  if jax.config.jax_compilation_cache_dir is None:
    with contextlib.suppress(OSError):  # An unwritable home: compile again.
      os.makedirs(directory, exist_ok=True)
      jax.config.update('jax_compilation_cache_dir', directory)


def _one_line(error):
  """Returns the message, without gin's list of the callers."""
  message = str(error).partition('\n  In call to configurable')[0]
  if isinstance(error, SyntaxError) and error.text:
    message += f': {error.text}'
  return ' '.join(message.split()) or type(error).__name__
