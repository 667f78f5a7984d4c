"""The process that a command line sets up."""

import gc

import jax
import pytest

from trax_hourglass.configuration import command_line, process


def test_a_command_leaves_the_gpu_to_jax(monkeypatch):
  calls = []
  monkeypatch.setattr(
    process.runtime, 'leave_gpu_to_jax', lambda: calls.append(True)
  )
  command_line.start(['train'])
  assert calls


def test_a_command_searches_for_garbage_less_often():
  before = gc.get_threshold()
  gc.set_threshold(700)
  try:
    command_line.start(['train'])
    assert gc.get_threshold()[0] == 100_000
  finally:
    gc.set_threshold(*before)


@pytest.fixture
def no_cache():
  names = (
    'jax_compilation_cache_dir',
    'jax_persistent_cache_min_compile_time_secs',
  )
  before = {name: getattr(jax.config, name) for name in names}
  jax.config.update('jax_compilation_cache_dir', None)
  yield
  for name, value in before.items():
    jax.config.update(name, value)


def test_keeps_compiled_programs(no_cache, monkeypatch, tmp_path):
  monkeypatch.setenv('HOME', str(tmp_path))
  process._keep_compiled_programs()
  directory = tmp_path / '.cache' / 'trax_hourglass' / 'jax'
  assert directory.is_dir()
  assert jax.config.jax_compilation_cache_dir == str(directory)
  assert jax.config.jax_persistent_cache_min_compile_time_secs == 0


def test_keeps_the_users_cache(no_cache):
  jax.config.update('jax_compilation_cache_dir', '/users')
  process._keep_compiled_programs()
  assert jax.config.jax_compilation_cache_dir == '/users'


def test_does_without_a_home(no_cache, monkeypatch, tmp_path):
  (tmp_path / 'file').touch()
  monkeypatch.setenv('HOME', str(tmp_path / 'file'))
  process._keep_compiled_programs()
  assert jax.config.jax_compilation_cache_dir is None
