"""Commands that answer before they import JAX, Trax and TensorFlow."""

import os
import signal
import subprocess
import sys

import pytest

from trax_hourglass import __version__, starting


def run(*arguments):
  """Runs Python; returns exit code, output and the names it imported."""
  result = subprocess.run(
    [sys.executable, '-X', 'importtime', '-m', *arguments],
    capture_output=True,
    text=True,
    check=False,
  )
  lines = result.stderr.splitlines()
  imported = {
    line.rpartition('|')[2].strip()
    for line in lines
    if line.startswith('import time:')
  }
  errors = [line for line in lines if not line.startswith('import time:')]
  return result.returncode, result.stdout, errors, imported


def check_light(imported):
  assert 'absl.flags' in imported
  assert not imported & {'jax', 'trax', 'tensorflow', 'gin', 'matplotlib'}


@pytest.mark.parametrize('command', starting.COMMANDS)
def test_help_is_light_and_lists_what_works(command):
  _, out, errors, imported = run(f'trax_hourglass.{command}', '--help')
  check_light(imported)
  assert not errors
  assert '--config: A gin binding, ' in out
  assert '--use_tpu' not in out


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ('--nonsense=1', "Unknown command line flag 'nonsense'"),
    ('quickstart.gin', "argument 'quickstart.gin': expected flags only"),
    ('--use_tpu=True', '--use_tpu has no effect any more'),
    (
      '--checkpoint=. --config_file=nothing.gin',
      'gin: Unable to open file: nothing.gin',
    ),
    ('--checkpoint=/no/such', 'checkpoint: /no/such does not exist'),
    ('--pretrained=list', "pretrained: got 'list', expected a folder that"),
  ],
)
def test_mistakes_in_flags_are_answered_at_once(arguments, message):
  code, out, errors, imported = run(
    'trax_hourglass.evaluate', *arguments.split()
  )
  check_light(imported)
  assert (code, out) == (2, '')
  (line,) = errors
  assert message in line


def test_the_package_lists_and_runs_its_commands():
  code, out, _, imported = run('trax_hourglass')
  assert code == 0
  assert 'jax' not in imported
  for command in starting.COMMANDS:
    assert f'\n  {command} ' in out
  code, out, errors, _ = run('trax_hourglass', 'train', '--nonsense=1')
  assert (code, out) == (2, '')
  assert 'nonsense' in errors[0]
  code, _, errors, _ = run('trax_hourglass', 'trian')
  assert code == 2
  assert "'trian' is not a command; give one of train, " in errors[0]


def test_the_list_of_commands_may_be_cut_off():
  reading, writing = os.pipe()
  os.close(reading)
  with os.fdopen(writing) as stdout:
    result = subprocess.run(
      [sys.executable, '-m', 'trax_hourglass'],
      stdout=stdout,
      stderr=subprocess.PIPE,
      check=False,
    )
  assert (result.returncode, result.stderr) == (141, b'')


def test_the_package_states_its_version():
  code, out, errors, imported = run('trax_hourglass', '--version')
  assert (code, out, errors) == (0, f'trax_hourglass {__version__}\n', [])
  check_light(imported | {'absl.flags'})


def test_options_of_python_may_stand_in_one_word():
  result = subprocess.run(
    [sys.executable, '-um', 'trax_hourglass.train', '--nonsense=1'],
    capture_output=True,
    text=True,
    check=False,
  )
  (line,) = result.stderr.splitlines()
  assert result.returncode == 2
  assert 'nonsense' in line


def test_any_other_import_is_whole():
  code, _, _, imported = run('trax_hourglass.hierarchy')
  assert code == 0
  assert {'jax', 'trax'} <= imported


_INTERRUPTED = """
import os, signal, sys

# Where tests run in the background, a shell has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

class Finder:
  def find_spec(self, name, *_):
    if name == '{module}':
      try:
        os.kill(os.getpid(), signal.{signum})
      except KeyboardInterrupt:
        pass  # As where an extension module imports another.

sys.argv[0] = 'trax-hourglass'
sys.meta_path.insert(0, Finder())
from trax_hourglass import evaluate
evaluate.main(['evaluate', '--output_dir=.', '--config_file=tests/tiny.gin'])
"""


@pytest.mark.parametrize(
  ('module', 'signum'),
  [
    ('absl', signal.SIGINT),
    ('jaxlib', signal.SIGINT),
    ('jaxlib', signal.SIGTERM),
    ('trax.layers', signal.SIGINT),
  ],
)
def test_a_signal_among_imports_ends_a_command(module, signum):
  code = _INTERRUPTED.format(module=module, signum=signum.name)
  result = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=False
  )
  assert result.returncode == 128 + signum
  assert (result.stdout, result.stderr) == ('', '\ninterrupted\n')
