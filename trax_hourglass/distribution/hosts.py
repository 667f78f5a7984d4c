"""Several hosts as one computer, through `jax.distributed`."""

import os
import secrets

import jax
from jax.experimental import multihost_utils
import numpy as np

from trax_hourglass.errors import UserError, check_positive

# Seconds without a sign of life after which a host counts as lost, and for
# which a host that ends waits for the others. A host that waits in an operation
# for a lost one ends then, too.
_PATIENCE = 45

# From which a process knows how many a launcher has started with it.
_NUMBERS_OF_PROCESSES = (
  'SLURM_STEP_NUM_TASKS',  # srun; absent from the shell of a job.
  'OMPI_COMM_WORLD_SIZE',  # mpirun of Open MPI.
)

_FLAGS = '--coordinator_address', '--num_processes', '--process_id'


def join(
  coordinator_address: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
) -> None:
  """Makes this process one of several, if it is to be; call before JAX starts.

  It is if the arguments say so; or if none is given and it was started by
  `srun` or `mpirun` with others, or on a TPU pod, all of which JAX asks for
  the arguments. Each process then uses the devices that JAX gives it.

  Args:
    coordinator_address: 'HOST:PORT', at which the first process listens and all
      others reach it.
    num_processes: How many there are.
    process_id: Which of them this is, from 0.

  Raises:
    UserError: If some of the arguments are missing or make no sense, or the
      processes do not find each other in time.
  """
  values = coordinator_address, num_processes, process_id
  given = dict(zip(_FLAGS, values, strict=True))
  if all(value is None for value in given.values()):
    if not _is_launched():
      return
    arguments = {}
  else:
    _check(given)
    arguments = {name.removeprefix('--'): given[name] for name in given}
    arguments['cluster_detection_method'] = 'deactivate'
  # It would take SIGTERM from whoever waits for it: see `interruption`.
  jax.config.update('jax_enable_preemption_service', False)
  # On a CPU hosts need a library to talk to each other.
  jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  try:
    jax.distributed.initialize(
      **arguments,
      heartbeat_timeout_seconds=_PATIENCE,
      shutdown_timeout_seconds=_PATIENCE,
    )
  except (RuntimeError, ValueError) as error:
    raise UserError(f'hosts: {error}; {_advice(arguments)}') from error


def _advice(arguments):
  if arguments:
    return 'start all of them at once'
  return (
    'a launcher says that there are several: start all of them with it, or '
    f'with {", ".join(_FLAGS)}'
  )


def _is_launched() -> bool:
  """Returns whether a launcher has started this process with others."""
  numbers = [_number(name) for name in _NUMBERS_OF_PROCESSES]
  tpu_hosts = os.environ.get('TPU_WORKER_HOSTNAMES', '').split(',')
  return max(*numbers, len(tpu_hosts)) > 1


def _number(name):
  text = os.environ.get(name) or '1'
  if not text.isdecimal():
    raise UserError(
      f'{name}: got {text!r} in the environment, expected a number of '
      'processes; unset it where no launcher has set it'
    )
  return int(text)


def _check(given):
  missing = [name for name, value in given.items() if value is None]
  if missing:
    raise UserError(
      f'{missing[0]}: not given, expected {", ".join(given)} together'
    )
  address, n, i = given.values()
  host, _, port = address.rpartition(':')
  if not (host and port.isdecimal() and 0 < int(port) < 2**16):
    raise UserError(
      f'--coordinator_address: got {address!r}, expected HOST:PORT, the same '
      'for all processes'
    )
  check_positive(**{'--num_processes': n})
  if not 0 <= i < n:
    raise UserError(
      f'--process_id: got {i}, expected one from 0 to {n - 1}, as '
      f'--num_processes is {n}'
    )


def is_first() -> bool:
  """Returns whether this is the host that writes and prints."""
  return jax.process_index() == 0


def common_seed() -> int:
  """Returns a random seed, the same on all hosts."""
  seed = np.uint32(secrets.randbits(31))
  return int(multihost_utils.broadcast_one_to_all(seed))


def wait_for_all() -> None:
  """Returns when all hosts have called it; for the end of a command.

  JAX lets a host that ends wait for the others, but not for long.
  """
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices('end')


def check_same(name: str, value: int, advice: str) -> None:
  """Waits for all hosts; raises `UserError` unless all have the same value."""
  if jax.process_count() == 1:
    return
  values = multihost_utils.process_allgather(np.int64(value)).tolist()
  if len(set(values)) > 1:
    raise UserError(
      f'{name}: got {", ".join(map(str, values))} on the hosts, expected the '
      f'same; {advice}'
    )
