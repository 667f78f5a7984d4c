"""Several hosts as one: here processes that talk over the loopback device."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from tests.commands import arguments
from trax_hourglass import load_checkpoint
from trax_hourglass.distribution import hosts
from trax_hourglass.training.checkpoints import format


@pytest.fixture
def calls(monkeypatch):
  """What jax.distributed.initialize is called with; it does nothing."""
  found = []
  monkeypatch.setattr(
    jax.distributed, 'initialize', lambda **given: found.append(given)
  )
  monkeypatch.setattr(jax.config, 'update', lambda *_: None)
  for name in list(os.environ):
    if name.startswith(('SLURM_', 'OMPI_', 'TPU_')):
      monkeypatch.delenv(name)
  return found


def test_alone_unless_told_otherwise(calls):
  hosts.join()
  assert not calls


@pytest.mark.parametrize(
  ('name', 'value', 'n_calls'),
  [
    ('SLURM_STEP_NUM_TASKS', '2', 1),
    ('SLURM_STEP_NUM_TASKS', '1', 0),
    ('SLURM_NTASKS', '2', 0),  # Of a job, in whose shell a single one runs.
    ('OMPI_COMM_WORLD_SIZE', '4', 1),
    ('TPU_WORKER_HOSTNAMES', 'a,b', 1),
    ('TPU_WORKER_HOSTNAMES', 'a', 0),
  ],
)
def test_asks_the_launcher(calls, monkeypatch, name, value, n_calls):
  monkeypatch.setenv(name, value)
  hosts.join()
  assert len(calls) == n_calls
  assert not any('num_processes' in given for given in calls)


def test_flags_come_before_the_launcher(calls, monkeypatch):
  monkeypatch.setenv('OMPI_COMM_WORLD_SIZE', '4')
  hosts.join('first:1234', 3, 2)
  (given,) = calls
  assert given['coordinator_address'] == 'first:1234'
  assert given['num_processes'] == 3
  assert given['process_id'] == 2
  assert given['cluster_detection_method'] == 'deactivate'


def _port() -> int:
  with socket.socket() as s:
    s.bind(('localhost', 0))
    return s.getsockname()[1]


def _start(argv, n_devices, log, environment=None):
  """Returns a started process with so many devices; it prints to `log`."""
  flags = os.environ['XLA_FLAGS']
  flags += f' --xla_force_host_platform_device_count={n_devices}'
  with open(log, 'w') as file:
    return subprocess.Popen(
      [sys.executable, *argv],
      env={**os.environ, 'XLA_FLAGS': flags, **(environment or {})},
      stdout=file,
      stderr=subprocess.STDOUT,
    )


def _hosts(argv, directory):
  """Returns two started processes of a command, with two devices each."""
  flags = [f'--coordinator_address=localhost:{_port()}', '--num_processes=2']
  return [
    _start([*argv, *flags, f'--process_id={i}'], 2, directory / f'log{i}')
    for i in range(2)
  ]


def _wait(processes, seconds=300):
  try:
    return [process.wait(seconds) for process in processes]
  finally:
    for process in processes:
      process.kill()


_CHILD = """
import sys
import numpy as np
from trax_hourglass.distribution import devices, hosts
from trax_hourglass.errors import UserError

if len(sys.argv) > 1:
  hosts.join(sys.argv[1], 2, int(sys.argv[2]))
else:
  hosts.join()
import jax
rows = devices.shard(np.arange(8))
print('rows', [shard.data.tolist() for shard in rows.addressable_shards])
print('seed', hosts.common_seed())
try:
  hosts.check_same('step', jax.process_index() + 3, 'do something')
except UserError as error:
  print(error)
hosts.wait_for_all()
"""


@pytest.mark.slow
@pytest.mark.parametrize('launcher', ['flags', 'srun'])
def test_hosts_find_each_other_and_share_rows(tmp_path, launcher):
  port = _port()
  processes = []
  for i in range(2):
    argv, environment = ['-c', _CHILD], {}
    if launcher == 'flags':
      argv += [f'localhost:{port}', str(i)]
    else:
      environment = {
        'JAX_COORDINATOR_PORT': str(port),
        'SLURM_JOB_ID': '1234',
        'SLURM_STEP_NODELIST': 'localhost',
        'SLURM_STEP_NUM_TASKS': '2',
        'SLURM_NTASKS': '2',
        'SLURM_PROCID': str(i),
        'SLURM_LOCALID': str(i),
      }
    processes.append(_start(argv, 2, tmp_path / f'log{i}', environment))
  assert _wait(processes) == [0, 0]
  logs = [(tmp_path / f'log{i}').read_text() for i in range(2)]
  assert 'rows [[0, 1], [2, 3]]' in logs[0]
  assert 'rows [[4, 5], [6, 7]]' in logs[1]
  seeds = [re.search(r'seed (\d+)', log)[1] for log in logs]
  assert seeds[0] == seeds[1]
  for log in logs:
    message = 'step: got 3, 4 on the hosts, expected one value; do something'
    assert message in log


def _argv(text, output_dir, *config):
  batch = 'trax_hourglass.text_inputs.batch_size = 4'
  _, *flags = arguments(text, output_dir, batch, *config)
  return ['-m', 'trax_hourglass.train', *flags]


def _compare(run, other):
  """Compares the results of two runs."""
  for x, y in zip(
    *(
      format.read_weights(str(output_dir / 'model.pkl.gz'))
      for output_dir in (run, other)
    ),
    strict=True,
  ):
    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_two_hosts_do_what_one_does(text, tmp_path):
  seedless = 'train.random_seed = None'
  assert _wait(_hosts(_argv(text, tmp_path / 'two'), tmp_path)) == [0, 0]
  assert _wait(
    [_start(_argv(text, tmp_path / 'one'), 4, tmp_path / 'log')]
  ) == [0]
  _compare(tmp_path / 'two', tmp_path / 'one')
  first, second, alone = (
    [
      line
      for line in (tmp_path / name).read_text().splitlines()
      if line.startswith(('step', 'train', 'validation', 'score'))
    ]
    for name in ('log0', 'log1', 'log')
  )
  assert len(first) > 3
  assert not second
  assert [_figures(line) for line in first] == [
    _figures(line) for line in alone
  ]
  for directory in ('train', 'eval'):
    assert len(list((tmp_path / 'two' / directory).iterdir())) == 1
  names = [path.name for path in (tmp_path / 'two').iterdir()]
  assert sorted(names) == sorted(
    path.name for path in (tmp_path / 'one').iterdir()
  )
  # A seed that one of them draws.
  argv = _argv(text, tmp_path / 'seedless', seedless)
  assert _wait(_hosts(argv, tmp_path)) == [0, 0]


def _figures(line):
  """Returns the figures of a line but for times."""
  line = re.sub(r'\S+ steps/s|, the last.*', '', line)
  return [float(figure) for figure in re.findall(r'\d+\.\d+', line)]


@pytest.mark.slow
@pytest.mark.parametrize('victim', [0, 1])
@pytest.mark.parametrize('signum', [signal.SIGKILL, signal.SIGTERM])
def test_one_host_ends_with_the_other_and_both_resume(
  text, tmp_path, victim, signum
):
  run, whole = tmp_path / 'run', tmp_path / 'whole'
  frequency = 'train.eval_frequency = 10'
  endless = _argv(text, run, 'train.steps = 1000000', frequency)
  processes = _hosts(endless, tmp_path)
  logs = [tmp_path / f'log{i}' for i in range(2)]
  try:
    while not any(
      int(path.name.removeprefix('step_')) >= 20
      for path in run.glob('checkpoints/step_*')
    ):
      assert [process.poll() for process in processes] == [None, None]
      time.sleep(0.2)
    processes[victim].send_signal(signum)
    sent = time.monotonic()
    codes = [process.wait(60) for process in processes]
    assert time.monotonic() - sent < 60
  finally:
    _wait(processes)
  step = format.read_step(str(run / 'model.pkl.gz'))
  assert step >= 20
  if signum == signal.SIGTERM:
    assert codes == [143, 143]
    for log in logs:
      assert f'stopped by SIGTERM at step {step}, all saved' in log.read_text()
  else:
    assert 0 not in codes
  steps = f'train.steps = {step + 5}'
  for output_dir in (run, whole):
    argv = _argv(text, output_dir, steps, frequency)
    assert _wait(_hosts(argv, tmp_path)) == [0, 0]
  _check_same_bits(run, whole)


def _check_same_bits(run, other):
  """Fails unless two runs have come to the same weights, slots and history."""
  one, two = (load_checkpoint(str(path)) for path in (run, other))
  assert one['step'] == two['step']
  for key in ('flat_weights', 'slots_per_task'):
    for x, y in zip(*map(jax.tree.leaves, (one[key], two[key])), strict=True):
      np.testing.assert_array_equal(x, y)
  histories = [content['history']['_values'] for content in (one, two)]
  for history in histories:
    del history['train']['training/steps per second']
  assert histories[0] == histories[1]
