"""Flags of all commands, read before JAX and Trax are imported."""

from collections.abc import Callable, Sequence
import gc

from absl import app, flags

from trax_hourglass import pretrained_models, starting
from trax_hourglass.configuration import gin_files
from trax_hourglass.errors import UserError

_TRAINER_FLAGS = starting.trainer_flags()
FLAGS = flags.FLAGS
flags.DEFINE_string(
  'init_checkpoint',
  None,
  'The weights to start from, or to score: a *.pkl.gz file of ours or of '
  "Trax's HourglassLM, a directory, whose newest checkpoint is read, or a file "
  'that export wrote; or the address of one.',
)
flags.DEFINE_string(
  'pretrained',
  None,
  'In place of a checkpoint, the name of a trained model that ships with this '
  'package, such as wikipedia_sample, or a folder that export wrote. Without '
  '--config_file, its configuration is used.',
)
flags.DEFINE_string(
  'coordinator_address',
  None,
  'HOST:PORT where the first of several hosts listens; needs --num_processes '
  'and --process_id, too. With srun and mpirun leave all three out.',
)
flags.DEFINE_integer('num_processes', None, 'Number of hosts.')
flags.DEFINE_integer('process_id', None, 'The number of this host, from 0.')
flags.DEFINE_bool(
  'safe',
  False,
  'Gin files may only bind what Trax and trax_hourglass define.',
)

# Those of `reading.Configuration` that need no data.
CONFIGURATION_FLAGS = ('config', 'config_file', 'dataset', 'model', 'safe')
HOST_FLAGS = ('coordinator_address', 'num_processes', 'process_id')

_MAY_BE_EMPTY = ('config', 'prompt', 'stop')

# New objects between two searches for garbage. JAX makes many, and few of them
# are garbage: at Python's 700, searching takes a sixth of the time to start.
_NEW_OBJECTS = 100_000

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
# Help for the flags of trax.trainer.
for _name, _help in {
  'config': 'A gin binding, which overrides all files; may be repeated.',
  'config_file': 'A gin file, as given or in gin/; may be repeated.',
  'data_dir': "The folder in which Trax's pipelines find TFDS data sets.",
  'dataset': "Data in place of the file's: trax_hourglass.enwik8 or another of "
  'this package, or one of TFDS.',
  'disable_jit': 'Run operation by operation, to find an error.',
  'log_level': "Show Trax's log: -1 for warnings, 0 for messages, 1 for all.",
  'model': "trax_hourglass.HourglassLM in place of Trax's; or a model of Trax.",
  'output_dir': 'The directory of the run, or of the results.',
}.items():
  FLAGS[_name].help = _help

# Those of all commands that read a configuration and run a model.
MODEL_FLAGS = (
  'output_dir',
  *CONFIGURATION_FLAGS,
  'data_dir',
  'init_checkpoint',
  'pretrained',
  'disable_jit',
  'log_level',
)


def start(
  argv: Sequence[str],
  on_hosts: bool = False,
  check: Callable[[], object] = lambda: None,
) -> None:
  """Reads flags and sets up the process accordingly.

  Args:
    argv: The command line.
    on_hosts: Whether the command may run on several hosts at once.
    check: Raises `UserError` if flags are wrong; called before JAX is loaded.

  Raises:
    UserError: If a flag is unknown, malformed or without effect.
  """
  app.define_help_flags()
  FLAGS.unparse_flags()
  try:
    _, *arguments = FLAGS(argv)
  except flags.Error as error:
    raise UserError(f'{error}; --help lists the flags') from error
  if arguments:
    raise UserError(
      f'argument {arguments[0]!r}: expected flags only; write --NAME=VALUE, '
      'in quotes if it contains spaces'
    )
  for name in FLAGS:
    is_empty = FLAGS[name].present and FLAGS[name].value in ('', [''])
    if is_empty and name not in _MAY_BE_EMPTY:
      raise UserError(
        f"--{name}: got '', expected a value; give one, or leave the flag out"
      )
  for name in _DEAD_FLAGS:
    if FLAGS[name].present:
      raise UserError(f'--{name} has no effect any more; leave it out')
  for name in HOST_FLAGS:
    if FLAGS[name].present and not on_hosts:
      raise UserError(f'--{name} has no effect here; leave it out')
  check()
  for name in FLAGS.config_file or ():
    gin_files.check_exists(name)
  gc.set_threshold(_NEW_OBJECTS)
  starting.load()
  from trax_hourglass.configuration import process

  process.set_up(
    log_level=FLAGS.log_level if FLAGS['log_level'].present else None,
    disable_jit=FLAGS.disable_jit,
    hosts=[FLAGS[name].value for name in HOST_FLAGS] if on_hosts else None,
  )


def configuration() -> dict:
  """Returns the arguments of `reading.configure` that the flags give."""
  names = (*CONFIGURATION_FLAGS, 'data_dir')
  return {name: FLAGS[name].value for name in names}


def check_pretrained(*others: str) -> None:
  """Raises `UserError` if there is no such model, or others are given, too."""
  check_one(*others, 'pretrained')
  if FLAGS.pretrained is not None:
    pretrained_models.find(FLAGS.pretrained)


def check_one(*names: str) -> None:
  """Raises `UserError` if more than one of some flags is given."""
  given = [f'--{name}' for name in names if FLAGS[name].present]
  if len(given) > 1:
    raise UserError(f'{given[0]} and {given[1]} are both given, expected one')


def check_used(*names: str) -> None:
  """Raises `UserError` for a shared flag that is given and not in `names`."""
  modules = FLAGS.flags_by_module_dict()
  for flag in (*modules[_TRAINER_FLAGS.__name__], *modules[__name__]):
    if flag.present and flag.name not in names:
      raise UserError(f'--{flag.name} has no effect here; leave it out')
