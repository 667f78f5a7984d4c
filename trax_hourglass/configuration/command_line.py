"""Flags of all commands, and the process that they set up."""

from collections.abc import Sequence
import contextlib
import os

from absl import app, flags, logging
import jax
from trax import fastmath, trainer, trainer_flags

from trax_hourglass import runtime
from trax_hourglass.configuration import reading
from trax_hourglass.distribution import hosts
from trax_hourglass.errors import UserError

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
  'HOST:PORT where the first of several hosts listens; requires '
  '--num_processes and --process_id. srun and mpirun supply all three.',
)
flags.DEFINE_integer('num_processes', None, 'Number of hosts.')
flags.DEFINE_integer('process_id', None, 'Number of this host, from 0.')
flags.DEFINE_bool(
  'safe',
  False,
  'Gin files may only bind what Trax and trax_hourglass define.',
)

# Those of `reading.Configuration` that need no data.
CONFIGURATION_FLAGS = ('config', 'config_file', 'dataset', 'model', 'safe')
_HOST_FLAGS = ('coordinator_address', 'num_processes', 'process_id')

# Flags of trax.trainer that do nothing there, or need the JAX of 2021.
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


def start(argv: Sequence[str], on_hosts: bool = False) -> None:
  """Reads flags and sets up the process accordingly.

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
      f'argument {arguments[0]!r}: expected flags only; write --NAME=VALUE, '
      'in quotes if it contains spaces'
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


def configuration() -> reading.Configuration:
  """Returns the arguments of `reading.configure` that the flags give."""
  names = (*CONFIGURATION_FLAGS, 'data_dir')
  return {name: FLAGS[name].value for name in names}


def check_used(*names: str) -> None:
  """Raises `UserError` for a shared flag that is given and not in `names`."""
  modules = FLAGS.flags_by_module_dict()
  for flag in (*modules[trainer_flags.__name__], *modules[__name__]):
    if flag.present and flag.name not in names:
      raise UserError(f'--{flag.name} has no effect here; leave it out')


def _keep_compiled_programs():
  """Caches compiled programs on disk, unless the user has set a cache.

  Small programs too: initialising a model takes dozens of them.
  """
  directory = os.path.expanduser('~/.cache/trax_hourglass/jax')
  if jax.config.jax_compilation_cache_dir is None:
    with contextlib.suppress(OSError):  # An unwritable home: compile again.
      os.makedirs(directory, exist_ok=True)
      jax.config.update('jax_compilation_cache_dir', directory)
      jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
