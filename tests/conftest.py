"""The setting that all tests run in; commands started by a test inherit it."""

import gc
from importlib import metadata
import os
from pathlib import Path
import resource
import signal
import subprocess
import sys

import fsspec
import gin
import numpy as np
import pytest

# Compiled programs are kept between runs, and compiled fast, not to be fast.
_XLA_FLAGS = [
  '--xla_backend_optimization_level=0',
  '--xla_llvm_disable_expensive_passes=true',
]
if metadata.version('jax').startswith('0.10.'):  # Later ones don't know it.
  _XLA_FLAGS.append('--xla_cpu_use_fusion_emitters=false')
if metadata.version('jaxlib').startswith(('0.10.2', '0.12.0')):
  # XLA's default, which trax_hourglass takes away: these compile sooner.
  _XLA_FLAGS.append(
    '--xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,'
    'LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION,LIBRARY_FUSION_TYPE_REDUCE'
  )
os.environ.update(
  XLA_FLAGS=' '.join([*_XLA_FLAGS, os.environ.get('XLA_FLAGS', '')]),
  JAX_PLATFORMS='cpu',
  JAX_COMPILATION_CACHE_DIR=str(Path(__file__).parents[1] / '.cache' / 'jax'),
  JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS='0',
)

import trax_hourglass  # noqa: E402, F401 (before anything of Trax)
from trax_hourglass import addresses  # noqa: E402
from trax_hourglass.configuration import command_line  # noqa: E402

_SEVERAL_DEVICES = (
  'import sys, trax_hourglass; from tests.training import data_parallel_child;'
  'data_parallel_child.main(*sys.argv[1:])'
)


def pytest_collection_finish():
  """Lets the garbage collector pass over the modules that stay anyway."""
  gc.collect()
  gc.freeze()


@pytest.fixture(scope='session')
def text(tmp_path_factory):
  """The path of a file of 2000 random bytes, to train the tiny model on."""
  path = tmp_path_factory.mktemp('text') / 'text'
  path.write_bytes(np.random.default_rng(0).bytes(2000))
  return path


@pytest.fixture
def bucket(tmp_path_factory, monkeypatch):
  """The file system memory://, empty; copies of it go to a new folder."""
  copies = tmp_path_factory.mktemp('copies')
  monkeypatch.setattr(addresses, 'CACHE', str(copies))
  system = fsspec.filesystem('memory')
  system.store.clear()
  system.pseudo_dirs[:] = ['']
  return system


@pytest.fixture
def disk():
  """A function that makes every file full at so many bytes, or none.

  To be called without a size before a test ends: pytest writes to a file, too.
  """
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

  def limit(n_bytes=before[0]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))

  yield limit
  limit()
  signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def disk_full_during(disk, monkeypatch):
  """A function that makes the disk full while a function of a module runs."""

  def replace(module, name):
    function = getattr(module, name)

    def on_full_disk(*args):
      disk(1000)
      try:
        function(*args)
      finally:
        disk()

    monkeypatch.setattr(module, name, on_full_disk)

  return replace


@pytest.fixture
def unreadable(monkeypatch):
  """A function that refuses access to folders of a name; root has it to all."""

  def refuse_name(name):
    scan = os.scandir

    def refuse(path):
      if os.path.basename(path) == name:
        raise PermissionError(13, 'Permission denied', path)
      return scan(path)

    monkeypatch.setattr(os, 'scandir', refuse)

  return refuse_name


@pytest.fixture
def default_signals():
  """Signals do what they do by default, here and in new processes.

  nohup starts a process with SIGHUP ignored, a shell's `&` with SIGINT.
  """
  defaults = {
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
  }
  before = {s: signal.signal(s, default) for s, default in defaults.items()}
  yield
  for signum, handler in before.items():
    signal.signal(signum, handler)


@pytest.fixture(scope='session', autouse=True)
def several_devices(request, tmp_path_factory):
  """A process that trains on 1, 2 and 8 devices, and where it writes to.

  It takes a minute, beside the tests that come before its own.
  """
  items = request.session.items
  if not any('test_data_parallel' in item.nodeid for item in items):
    yield
    return
  path = tmp_path_factory.mktemp('parallel') / 'found'
  with subprocess.Popen(
    [sys.executable, '-c', _SEVERAL_DEVICES, path, '1', '2', '8'],
    stdout=subprocess.DEVNULL,
  ) as process:
    yield process, path
    process.kill()


@pytest.fixture
def reproduce_flags():
  """Parses the flags of `reproduce`, none given; unbinds gin afterwards."""
  command_line.start(['reproduce'])
  yield
  gin.clear_config()
