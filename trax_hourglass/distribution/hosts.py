"""Several hosts as one computer, through `jax.distributed`."""

import os
import secrets

import jax
from jax.experimental import multihost_utils
import numpy as np

from trax_hourglass.errors import UserError, check_positive

# Seconds without a heartbeat after which a host counts as lost, and the others
# end; and how long a host that is done waits for the others to be done.
_PATIENCE = 45

# Environment variables in which launchers give the number of processes.
_PROCESS_COUNTS = (
  'SLURM_STEP_NUM_TASKS',  # srun; absent from the shell of a job.
  'OMPI_COMM_WORLD_SIZE',  # mpirun of Open MPI.
)

_FLAGS = '--coordinator_address', '--num_processes', '--process_id'


def join(
  coordinator_address: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
) -> None:
  """Joins other processes in one computation; call before JAX starts.

  Without arguments, a process joins the others that `srun` or `mpirun` has
  started, or those of a TPU pod; JAX takes the arguments from there. A process
  started alone stays alone.

  Args:
    coordinator_address: 'HOST:PORT' at which the first process listens.
    num_processes: Number of processes.
    process_id: Number of this process, from 0.

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
  # It would intercept SIGTERM: see `training.interruption`.
  jax.config.update('jax_enable_preemption_service', False)
  # Hosts without accelerators need a library to communicate.
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
    return 'start all of them together'
  return (
    'a launcher says that there are several: start all of them with it, or '
    f'with {", ".join(_FLAGS)}'
  )


def _is_launched() -> bool:
  """Returns whether a launcher has started this process with others."""
  counts = map(_count, _PROCESS_COUNTS)
  tpu_hosts = os.environ.get('TPU_WORKER_HOSTNAMES', '').split(',')
  return max(*counts, len(tpu_hosts)) > 1


def _count(name):
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
  """Waits for all hosts, longer than JAX would when a process ends."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices('end')


def check_same(name: str, value: int, advice: str) -> None:
  """Waits for all hosts; raises `UserError` unless all have the same value."""
  if jax.process_count() == 1:
    return
  values = multihost_utils.process_allgather(np.int64(value)).tolist()
  if len(set(values)) > 1:
    raise UserError(
      f'{name}: got {", ".join(map(str, values))} on the hosts, expected one '
      f'value; {advice}'
    )
