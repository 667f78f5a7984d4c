"""What the commands share: flags, gin files, devices, and a user's mistakes."""

from collections.abc import Sequence
import contextlib
import logging as std_logging
import os
import sys

from absl import app, flags, logging
import gin
import jax
import tensorflow as tf
from trax import fastmath, trainer, trainer_flags

from trax_hourglass import (
  gin_errors,
  gin_files,
  gin_values,
  hosts,
  layer_errors,
  overrides,
  runtime,
  safety,
  selectors,
  trax_bindings,
  trax_inputs,
)
from trax_hourglass.errors import UserError, reason
from trax_hourglass.gin_values import bound
from trax_hourglass.layers import metrics
from trax_hourglass.training import interruption

FLAGS = flags.FLAGS
flags.DEFINE_string(
  'init_checkpoint',
  None,
  'The weights to start with, or to score: a *.pkl.gz file of ours or of '
  "Trax's HourglassLM; or a directory: its newest.",
)
flags.DEFINE_string(
  'coordinator_address',
  None,
  'HOST:PORT where the first of several hosts listens. With it go '
  '--num_processes and --process_id; srun and mpirun tell all three.',
)
flags.DEFINE_integer('num_processes', None, 'How many hosts take part.')
flags.DEFINE_integer('process_id', None, 'Which of them this is, from 0.')

flags.DEFINE_bool(
  'safe',
  False,
  'Whether gin files may only bind what Trax and trax_hourglass have.',
)

# The flags that `configure` reads.
CONFIGURATION_FLAGS = ('config', 'config_file', 'dataset', 'model', 'safe')
_HOST_FLAGS = ('coordinator_address', 'num_processes', 'process_id')

# Flags of trax.trainer that do nothing there, or need a JAX of 2021.
_DEAD_FLAGS = (
  'async_mode',
  'envs_output_dir',
  'eval_batch_size',
  'gpu_cluster_chief_ip',
  'gpu_cluster_host_id',
  'gpu_cluster_n_hosts',
  'gpu_cluster_port',
  'jax_backend_target',
  'jax_debug_nans',
  'jax_xla_backend',
  'parallelize_envs',
  'train_batch_size',
  'trajectory_dump_dir',
  'use_tpu',
  'xm',
)

# gin logs an error for each place where a file is not.
std_logging.getLogger().addFilter(
  lambda record: record.msg != 'Path not found: %s'
)


@contextlib.contextmanager
def exit_codes():
  """Ends the process as a command should; a decorator of `main`.

  A user's mistake prints one line and exits with 2, and so does output that
  cannot be written, for example to a full disk. Ctrl-C exits with 130, SIGTERM
  with 143, SIGHUP with 129, all after cleaning up. If nobody reads the output
  any more, as with `| head`, the command exits with 141 and prints nothing.
  """
  for name in ('stdout', 'stderr'):
    if getattr(sys, name) is None:  # The process was started with it closed.
      setattr(sys, name, open(os.devnull, 'w'))  # noqa: SIM115
  try:
    with interruption.raising():
      yield
      sys.stdout.flush()
  except UserError as error:
    _fail(error, error)
  except RuntimeError as error:
    if 'Unable to initialize backend' not in str(error):
      raise
    _fail(f'devices: {error}; name one of this machine, such as cpu', error)
  except KeyboardInterrupt as error:
    _print_error(f'\n{str(error) or "interrupted"}')
    raise SystemExit(getattr(error, 'exit_code', 130)) from error
  except OSError as error:
    # The line that failed is lost, so an empty flush would succeed.
    if _can_print('\n'):
      raise
    if isinstance(error, BrokenPipeError):
      raise SystemExit(141) from error
    _fail(
      f'stdout: cannot be written ({reason(error)}); redirect it elsewhere',
      error,
    )
  finally:
    if not _can_print():
      # Python flushes stdout once more when it ends.
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _can_print(text=''):
  """Returns whether stdout takes all that was printed, followed by `text`."""
  try:
    print(end=text, flush=True)
  except OSError:
    return False
  return True


def _fail(message, error):
  _print_error(f'error: {" ".join(str(message).split())}')
  raise SystemExit(2) from error


def _print_error(line):
  with contextlib.suppress(OSError):  # stderr may be on a full disk, too.
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def building():
  """Raises a `UserError` for whatever a configuration can do wrong.

  That is, for a ValueError or OSError, for arguments that gin found no binding
  for, for a TypeError where gin called, and for errors in Trax's layers that
  `layer_errors` explains. Anything else is a bug of ours, and keeps its
  traceback.
  """
  try:
    yield
  except Exception as error:
    cause = layer_errors.cause(error)
    if gin_errors.is_unbound(cause):
      message = gin_errors.explained(cause)
    elif message := layer_errors.one_line(error):
      pass
    elif isinstance(cause, (ValueError, OSError, tf.errors.OpError)):
      message = gin_errors.one_line(cause)
    else:
      message = gin_errors.wrong_type(error)
    if message is None:
      raise
    logging.debug('While building', exc_info=error)
    raise UserError(message) from error


def start(argv: Sequence[str], on_hosts: bool = False) -> None:
  """Reads flags and sets the process up as they say.

  Args:
    argv: The command line.
    on_hosts: Whether the command may run on several hosts at once.

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
    raise UserError(
      f'argument {arguments[0]!r}: expected flags alone; write --NAME=VALUE, '
      'and quotes around it if there are spaces in it'
    )
  for name in _DEAD_FLAGS:
    if FLAGS[name].present:
      raise UserError(f'--{name} has no effect any more; leave it out')
  if on_hosts:
    hosts.join(*(FLAGS[name].value for name in _HOST_FLAGS))
  for name in _HOST_FLAGS:
    if FLAGS[name].present and not on_hosts:
      raise UserError(f'--{name} has no effect here; leave it out')
  # The flag's default would mix Trax's log with the progress bar.
  if FLAGS['log_level'].present:
    logging.use_absl_handler()
    logging.set_verbosity(FLAGS.log_level)
  runtime.leave_gpu_to_jax()
  _keep_compiled_programs()
  trainer._tf_setup_from_flags()
  if FLAGS.disable_jit:
    fastmath.disable_jit()


def check_used(*names: str) -> None:
  """Raises `UserError` at a flag of Trax's or of all commands not among names.

  For commands that need few of them.
  """
  modules = FLAGS.flags_by_module_dict()
  for flag in (*modules[trainer_flags.__name__], *modules[__name__]):
    if flag.present and flag.name not in names:
      raise UserError(f'--{flag.name} has no effect here; leave it out')


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
  except gin_errors.ERRORS as error:
    raise UserError(gin_errors.explained(error)) from error
  for name in ('dataset', 'data_dir'):  # Trax binds its data_streams to them.
    inputs = gin_values.selector('train.inputs')
    if FLAGS[name].value and inputs.startswith(selectors.PREFIX):
      raise UserError(f'--{name} has no effect on {inputs}; bind its data')
  if bound('train.model') is None:
    raise UserError(
      'train.model is not bound; give a configuration, for example '
      '--config_file=quickstart.gin'
    )
  configured.check()
  return configured


def evaluator():
  """Returns the evaluation that is configured; `None` if none is.

  That is `trax_hourglass.evaluate` or `trax_hourglass.evaluate_images`.

  Raises:
    UserError: If both are.
  """
  parameters = {
    'trax_hourglass.evaluate': 'text',
    'trax_hourglass.evaluate_images': 'images',
  }
  given = [
    selector
    for selector, name in parameters.items()
    if gin_values.without_macros(bound(f'{selector}.{name}')) is not None
  ]
  if len(given) > 1:
    raise UserError(
      'trax_hourglass.evaluate.text and trax_hourglass.evaluate_images.images '
      'are both bound, expected one; bind the other one to None'
    )
  return gin.get_configurable(given[0])() if given else None


def measure() -> metrics.Measure:
  """Returns what the bits of the training data are counted over."""
  if gin_values.selector('train.inputs') == 'trax_hourglass.image_inputs':
    images = gin_values.argument('train.inputs', 'images')
    return metrics.Measure('bits per dim', source=images.name)
  metrics_bound = gin_values.without_macros(bound('train.metrics'))
  if 'bits_per_dim' in str(metrics_bound):
    names = ('data_streams.dataset_name', 'data.TFDS.dataset_name')
    sources = filter(None, map(gin_values.value, names))
    return metrics.Measure('bits per dim', next(sources, None))
  return metrics.Measure()


def _read_configuration():
  """Reads the files and bindings; returns the bindings of --config."""
  model, dataset = map(_taken_from_flag, ('model', 'dataset'))
  with gin_files.reading(safety.check if FLAGS.safe else None) as reader:
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
  return gin_values.selector('train.model').startswith(
    selectors.PREFIX
  ) or bool(
    gin.get_bindings('trax_hourglass.HourglassLM', resolve_references=False)
  )


def _keep_compiled_programs():
  """Lets the next process load what XLA compiled in this one.

  Small programs too: to initialise a model takes dozens of them.
  """
  directory = os.path.expanduser('~/.cache/trax_hourglass/jax')
  if jax.config.jax_compilation_cache_dir is None:
    with contextlib.suppress(OSError):  # An unwritable home: compile again.
      os.makedirs(directory, exist_ok=True)
      jax.config.update('jax_compilation_cache_dir', directory)
      jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
