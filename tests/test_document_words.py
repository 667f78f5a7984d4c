"""The words of every command line in the documents: programs, flags, files."""

import functools
import importlib
from importlib import metadata, util
import itertools
import re
import subprocess

from absl import flags
import gin
from packaging.requirements import Requirement
import pytest
import tensorflow_datasets as tfds

from tests import document_commands
from tests.document_commands import ROOT, THEIRS
from trax_hourglass import pretrained_models, starting
from trax_hourglass.configuration import command_line, process, reading

FLAGS = flags.FLAGS
_HELP = {'help', 'helpshort', 'helpfull'}
_MODELS = {'checkpoint', 'init_checkpoint', 'output_dir', 'pretrained'}
_PRETRAINED = ('wikipedia_sample', 'photos32', 'my_model', 'NAME', 'list')


@pytest.fixture
def started(monkeypatch, tmp_path):
  """A function that starts a command, and stops it before it works."""
  document_commands.write_files(tmp_path)
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(process, 'set_up', _stop)
  monkeypatch.setattr(pretrained_models, 'names', lambda: _PRETRAINED)

  def start(name, arguments):
    module = importlib.import_module(f'trax_hourglass.{name}')
    for flag, path in re.findall(r'--(\S+)[ =]([\w/.]+)', ' '.join(arguments)):
      if flag.endswith(('checkpoint', 'output_dir')):
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
    with pytest.raises(_Started):
      module.main([name, *arguments])

  yield start
  gin.clear_config()


class _Started(BaseException):
  pass


def _stop(**_):
  raise _Started


@pytest.mark.parametrize(
  'command', document_commands.unique(), ids=lambda command: command.id
)
def test_words_are_known(command, started):
  program, *arguments = command.words
  check = globals().get(f'_check_{program}')
  if check is not None:
    check(arguments, start=started, page=command.page)


def test_a_program_that_is_unknown_is_told():
  with pytest.raises(AssertionError, match=r'page\.md: .*trax-glass'):
    document_commands.split('pip install -e .\ntrax-glass train', 'page.md')


def _check_python(arguments, **context):
  option, name, *rest = [*arguments, '']
  if option == '-c':
    compile(name, 'command', 'exec')
  elif option != '-m':
    assert (ROOT / option).exists()
  elif name.startswith('trax_hourglass.'):
    _check_command(name.partition('.')[2], arguments[2:], **context)
  elif name == 'pytest':
    assert (ROOT / rest[0]).exists()
  else:
    assert util.find_spec(name)


def _check_command(name, arguments, *, start, is_part=False, **_):
  names = _names(arguments)
  assert names <= _flags(name) | _HELP
  last = arguments[-1] if arguments else ''
  has_value = not last.startswith('--') or '=' in last
  if names & _HELP or not (has_value or FLAGS[_name(last)].boolean):
    return
  arguments = [word.replace('=...', '=quickstart.gin') for word in arguments]
  if is_part and not names & _MODELS:
    arguments += ['--output_dir=runs/mine'] * ('output_dir' in _flags(name))
  start(name, arguments)
  if name != 'benchmark':
    _check_configuration(name)


def _check_configuration(name):
  """Raises an error unless gin takes what the flags say."""
  configuration = command_line.configuration()
  files = configuration['config_file'] or [_default_file(name)]
  if not any('://' in file for file in files):
    reading.configure(**configuration | {'config_file': files})


def _default_file(name):
  if name == 'reproduce':
    return 'reproduction/text.gin'
  return THEIRS if FLAGS.dataset else 'quickstart.gin'


def _check_flags(arguments, *, page, **context):
  """Checks flags as those of the command before them on the page."""
  before = [
    command.words[2].partition('.')[2]
    for command in document_commands.commands()
    if command.page == page and command.is_ours
  ]
  names = _names(arguments)
  takes = [
    name
    for name in (*before, *starting.COMMANDS)
    if names <= _flags(name) | _HELP
  ]
  assert takes, f'no command has {names}'
  _check_command(takes[0], arguments, is_part=True, **context)


def _names(arguments):
  return {_name(word) for word in arguments if word.startswith('--')}


def _name(word):
  name = word.removeprefix('--').partition('=')[0]
  return name if name in FLAGS else name.removeprefix('no')


@functools.cache
def _flags(name):
  """Returns the names of the flags that `--help` of a command shows."""
  module = importlib.import_module(f'trax_hourglass.{name}')
  shown = FLAGS.get_key_flags_for_module(module.__name__)
  return {flag.name for flag in shown}


def _check_make(arguments, **_):
  subprocess.run(['make', '-n', *arguments], cwd=ROOT, check=True)


def _check_pip(arguments, **_):
  assert arguments[0] == 'install'
  extras = metadata.metadata('trax_hourglass').get_all('Provides-Extra')
  for before, word in itertools.pairwise(arguments):
    if before == '--constraint':
      assert (ROOT / word).exists()
    elif before == '-e':
      assert set(re.findall(r'\w+', word)) <= set(extras)
    elif not word.startswith('-'):
      Requirement(word)


def _check_ruff(arguments, **_):
  assert arguments[0] in ('format', 'check')


def _check_taskset(arguments, **context):
  if arguments[2:]:
    _check_python(arguments[3:], **context)


def _check_tfds(arguments, **_):
  assert arguments[0] == 'build'
  name, *config = arguments[1].split('/')
  builder = tfds.builder_cls(name)
  assert set(config) <= set(builder.builder_configs)
