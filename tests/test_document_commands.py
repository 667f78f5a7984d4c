"""Every command line of the documents: its flags and files, and that it runs.

Whether it runs is slow to see; the words of it are checked every day.
"""

import dataclasses
import functools
import gzip
import hashlib
import importlib
from importlib import metadata, util
import itertools
from pathlib import Path
import re
import runpy
import shutil
import subprocess
import sys

from absl import flags
import fsspec
import gin
import numpy as np
from packaging.requirements import Requirement
import pytest
import tensorflow_datasets as tfds

from tests import document_commands, test_reproduce
from tests.configuration import authors_files
from trax_hourglass import addresses, export, pretrained_models, starting
from trax_hourglass.configuration import command_line, process, reading
from trax_hourglass.data import enwik8

ROOT = document_commands.ROOT
ALL = document_commands.commands()
UNIQUE = [
  command
  for i, command in enumerate(ALL)
  if command.words not in [other.words for other in ALL[:i]]
]
FLAGS = flags.FLAGS
_HELP = {'help', 'helpshort', 'helpfull'}
_MODELS = {'checkpoint', 'init_checkpoint', 'output_dir', 'pretrained'}
_SHIPPED = ('wikipedia_sample', 'photos32')
_PRETRAINED = (*_SHIPPED, 'my_model', 'NAME', 'list')
_THEIRS = 'trax/supervised/configs/hourglass_enwik8.gin'


def _id(command):
  words = [word for word in command.words if word not in ('python', '-m')]
  return f'{Path(command.page).stem}-{" ".join(words)[:60]!r}'


def _is_ours(command):
  return ' '.join(command.words).startswith('python -m trax_hourglass.')


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  """A folder with the files that the documents take for granted."""
  folder = tmp_path_factory.mktemp('files')
  theirs = folder / _THEIRS
  theirs.parent.mkdir(parents=True)
  theirs.write_text(authors_files.FORMS['enwik8'])
  page = (ROOT / 'docs/guides/train_text.md').read_text()
  corpus = re.search(r'```json\n(.*?)```', page, re.DOTALL)[1]
  lines = (corpus.replace('document', f'document {i}') for i in range(50))
  (folder / 'corpus.jsonl').write_text(''.join(lines))
  [documents] = re.findall(r"```gin\n(import.*?corpus.jsonl'.*?)```", page, 16)
  (folder / 'documents.gin').write_text(documents)
  saved = folder / 'runs' / 'mine' / 'config.gin'
  saved.parent.mkdir(parents=True)
  saved.write_text("include 'quickstart.gin'")
  return folder


@pytest.fixture
def started(monkeypatch, tmp_path, files):
  """A function that starts a command, and stops it before it works."""
  place = shutil.copytree(files, tmp_path / 'place')
  monkeypatch.chdir(place)
  monkeypatch.setattr(process, 'set_up', _stop)
  monkeypatch.setattr(pretrained_models, 'names', lambda: _PRETRAINED)

  def start(name, arguments):
    module = importlib.import_module(f'trax_hourglass.{name}')
    for flag, path in re.findall(r'--(\S+)[ =]([\w/.]+)', ' '.join(arguments)):
      if flag.endswith(('checkpoint', 'output_dir')):
        (place / path).mkdir(parents=True, exist_ok=True)
    with pytest.raises(_Started):
      module.main([name, *arguments])

  yield start
  gin.clear_config()


class _Started(BaseException):
  pass


def _stop(**_):
  raise _Started


@pytest.mark.parametrize('command', UNIQUE, ids=_id)
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
  return _THEIRS if FLAGS.dataset else 'quickstart.gin'


def _check_flags(arguments, *, page, **context):
  """Checks flags as those of the command before them on the page."""
  before = [
    command.words[2].partition('.')[2]
    for command in ALL
    if command.page == page and _is_ours(command)
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


# Bindings and flags that make a command small; those of training, by gin file.
_MODEL = (
  'trax_hourglass.HourglassLM.d_model = 8',
  'trax_hourglass.HourglassLM.d_ff = 8',
  'trax_hourglass.HourglassLM.n_heads = 2',
  "trax_hourglass.HourglassLM.hierarchy = '0@1 1@4 0@1'",
  'train.steps = 1',
  'EVAL_BATCHES = 1',
)
_TEXT = (
  *_MODEL,
  'BATCH_SIZE = 8',
  'LENGTH = 12',
  'TEXT = @trax_hourglass.text_file()',
  "trax_hourglass.text_file.path = 'book.txt.gz'",
)
_PATCHES = (
  *_MODEL,
  'BATCH_SIZE = 2',
  'IMAGES = @trax_hourglass.photo_patches()',
  'trax_hourglass.photo_patches.size = 2',
  'trax_hourglass.evaluate_images.n_images = 2',
)
_ENWIK8 = "trax_hourglass.enwik8.data_dir = 'data'"
_TRAIN = {
  'documents.gin': (*_MODEL, 'trax_hourglass.document_inputs.length = 12'),
  'table1/2x1_8x3_2x1.gin': (
    *_TEXT,
    'TEXT = @trax_hourglass.enwik8()',
    'trax_hourglass.text_inputs.stride = 1',
    _ENWIK8,
  ),
  'imagenet32.gin': _PATCHES,
  'photos32.gin': _PATCHES,
  _THEIRS: (
    *authors_files.TOY,
    *authors_files.TOY_OF['enwik8'],
    'train.steps = 1',
    _ENWIK8,
  ),
}
_SIZES = (
  '--length=64',
  '--d_model=8',
  '--n_heads=2',
  '--hierarchy=0@1 1@2 0@1',
  '--baseline=1@1',
  '--repeats=1',
)
_RUN = [
  command
  for command in UNIQUE
  if command.page.endswith('.md')
  and command.page != 'docs/reproduction.md'
  and _is_ours(command)
  and not _HELP & _names(command.words)
]
# These need what the others leave.
_LATER = re.compile('gs://|--pretrained|runs/mine/config.gin')
_TRAINING = [c for c in _RUN if c.words[2] == 'trax_hourglass.train']


def _toy(name, arguments):
  """Returns the flags that make a command small."""
  match name:
    case 'train':
      files = re.findall(r'--config_file[= ](\S+)', ' '.join(arguments))
      config = _TRAIN.get(''.join(files), _TEXT)
    case 'evaluate':
      sizes = ('length = 36', 'step = None')
      config = (*(f'trax_hourglass.evaluate.{x}' for x in sizes), _ENWIK8)
    case 'memory':
      config = _TEXT
    case 'reproduce':
      config = (*test_reproduce.SMALL, 'trax_hourglass.evaluate.n_bytes = 99')
    case 'benchmark':
      return _SIZES
    case 'generate':
      return () if 'images' in _names(arguments) else ('--length=5',)
    case _:
      return ()
  return [f'--config={binding}' for binding in config]


def _run(command):
  """Runs a command of the package at toy size, in this process."""
  _, _, module, *arguments = command.words
  name = module.partition('.')[2]
  arguments += _toy(name, arguments)
  if name == 'reproduce':
    arguments += ['--output_dir=results', '--nocosts']
  arguments = [
    word.replace('gs://', 'memory://').replace('=...', '=quickstart.gin')
    for word in arguments
  ]
  if name == 'memory':  # Before JAX starts, it says how many devices there are.
    subprocess.run([sys.executable, '-m', module, *arguments], check=True)
  else:
    importlib.import_module(module).main([name, *arguments])


@pytest.fixture(scope='module')
def workplace(tmp_path_factory, files):
  """A folder in which the training commands were run."""
  folder = tmp_path_factory.mktemp('workplace') / 'files'
  shutil.copytree(files, folder)
  content = np.random.default_rng(0).bytes(2000)
  (folder / 'data').mkdir()
  (folder / 'data' / 'enwik8').write_bytes(content)
  (folder / 'book.txt.gz').write_bytes(gzip.compress(content))
  (folder / 'prompts.txt').write_text('The history\nof prompts\n')
  archive = dataclasses.replace(
    enwik8.ARCHIVE, n_bytes=2000, md5=hashlib.md5(content).hexdigest()
  )
  bucket = fsspec.filesystem('memory')
  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(folder)
    patch.setenv('HOME', str(folder))
    patch.setattr(enwik8, 'ARCHIVE', archive)
    patch.setattr(addresses, 'CACHE', str(folder / 'copies'))
    patch.setattr(pretrained_models, 'FOLDER', folder / 'shipped')
    later = [c for c in _TRAINING if _LATER.search(' '.join(c.words))]
    for command in _TRAINING:
      if command not in later:
        _run(command)
    for name in _SHIPPED:
      flags = f'--output_dir=runs/{name}', f'--folder=shipped/{name}'
      export.main(['export', *flags])
    bucket.put('runs/quickstart/', '/my-bucket/runs/enwik8/', recursive=True)
    bucket.pipe('/my-bucket/exp/mine.gin', b"include 'quickstart.gin'")
    for command in later:
      if 'runs/mine/config.gin' not in command.words:
        shutil.rmtree('runs/mine')
      _run(command)
    shutil.copytree('runs/theirs', 'enwik8')
    yield folder
  bucket.rm('/my-bucket', recursive=True)
  gin.clear_config()


@pytest.mark.slow
@pytest.mark.parametrize('command', _TRAINING, ids=_id)
def test_training_commands_leave_a_model(command, workplace):
  [folder] = re.findall(r'--output_dir=(\S+)', ' '.join(command.words))
  assert (workplace / folder / 'model.pkl.gz').exists()


@pytest.mark.slow
@pytest.mark.parametrize(
  'command', [c for c in _RUN if c not in _TRAINING], ids=_id
)
def test_commands_run(command, workplace):
  _run(command)
  for word in command.words:
    name, _, path = word.partition('=')
    if name in ('--file', '--folder', '--per_byte', '--html', '--output'):
      assert (workplace / path).stat().st_size


@pytest.mark.slow
def test_scripts_run(tmp_path, monkeypatch, capsys):
  picture = shutil.copy(ROOT / 'docs/pictures/causality.py', tmp_path)
  runpy.run_path(picture, run_name='__main__')
  assert (tmp_path / 'causality.png').stat().st_size
  prompts, trials = map(_measurement, ('prompts', 'text_trials'))
  model = prompts.HourglassLM
  small = {'d_model': 8, 'd_ff': 8, 'hierarchy': '0@1 1@4 0@1'}
  monkeypatch.setattr(prompts, 'HourglassLM', lambda **x: model(**x | small))
  monkeypatch.setattr(prompts, 'N_TOKENS', 4)
  monkeypatch.setattr(sys, 'argv', ['prompts.py', '20'])
  prompts.main()
  assert 'tokens/s: ' in capsys.readouterr().out
  bindings = [
    f'trax_hourglass.HourglassLM.{k} = {v!r}' for k, v in small.items()
  ]
  monkeypatch.setattr(trials, 'SCORED', 64)
  monkeypatch.setattr(
    sys,
    'argv',
    ['text_trials.py', 'quickstart.gin', '0.01', 'LENGTH = 8', *bindings],
  )
  trials.main()
  assert 'bits per byte' in capsys.readouterr().out
  gin.clear_config()


def _measurement(name):
  """Returns a script that measures, as a module."""
  path = ROOT / f'docs/measurements/{name}.py'
  spec = util.spec_from_file_location(name, path)
  module = util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module
