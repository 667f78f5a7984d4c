"""Every command of the package in the documents runs, at toy size."""

import dataclasses
import gzip
import hashlib
import importlib
from importlib import util
import operator
import re
import runpy
import shutil
import subprocess
import sys

import fsspec
import gin
import numpy as np
import pytest

from tests import document_commands
from tests.configuration import authors_files
from tests.document_commands import ROOT, THEIRS
from tests.lab.reproduction import small_runs
from trax_hourglass import addresses, export, pretrained_models
from trax_hourglass.data import enwik8

pytestmark = pytest.mark.slow
_id = operator.attrgetter('id')
_SHIPPED = ('wikipedia_sample', 'photos32')

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
  THEIRS: (
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
  for command in document_commands.unique()
  if command.page.endswith('.md')
  and command.page != 'docs/reproduction.md'
  and command.is_ours
  and not any(word.startswith('--help') for word in command.words)
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
      config = (*small_runs.SMALL, 'trax_hourglass.evaluate.n_bytes = 99')
    case 'benchmark':
      return _SIZES
    case 'generate':
      return () if '--images' in ' '.join(arguments) else ('--length=5',)
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
def workplace(tmp_path_factory):
  """A folder in which the training commands were run."""
  folder = tmp_path_factory.mktemp('workplace')
  document_commands.write_files(folder)
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


@pytest.mark.parametrize('command', _TRAINING, ids=_id)
def test_training_commands_leave_a_model(command, workplace):
  [folder] = re.findall(r'--output_dir=(\S+)', ' '.join(command.words))
  assert (workplace / folder / 'model.pkl.gz').exists()


@pytest.mark.parametrize(
  'command',
  [c for c in _RUN if c not in _TRAINING],
  ids=lambda command: command.id,
)
def test_commands_run(command, workplace):
  _run(command)
  for word in command.words:
    name, _, path = word.partition('=')
    if name in ('--file', '--folder', '--per_byte', '--html', '--output'):
      assert (workplace / path).stat().st_size


def test_scripts_run(tmp_path, monkeypatch, capsys):
  picture = shutil.copy(ROOT / 'docs/pictures/causality.py', tmp_path)
  runpy.run_path(picture, run_name='__main__')
  assert (tmp_path / 'causality.png').stat().st_size
  gin.clear_config()  # Unlocks gin: a script registers a function.
  names = 'prompts', 'text_trials', 'starting'
  prompts, trials, starts = map(_measurement, names)
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
  flags = (f'--config={binding}' for binding in ['LENGTH = 8', *bindings])
  monkeypatch.setattr(starts, 'TO_FIRST_STEP', (*starts.TO_FIRST_STEP, *flags))
  monkeypatch.setattr(sys, 'argv', ['starting.py', '--repeats=1'])
  starts.main()
  assert 'second time' in capsys.readouterr().out
  gin.clear_config()


def _measurement(name):
  """Returns a script that measures, as a module."""
  path = ROOT / f'docs/measurements/{name}.py'
  spec = util.spec_from_file_location(name, path)
  module = util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module
