"""What `python -m trax_hourglass.train` refuses before it has trained."""

import zipfile

import pytest

from tests.commands import arguments, fails, random_text


@pytest.fixture(scope='module')
def text(tmp_path_factory):
  return random_text(tmp_path_factory)


def test_refuses_an_address_as_output_directory(text, capsys):
  line = fails(capsys, arguments(text, 'gs://bucket/run'))
  assert 'gs://bucket/run, expected a folder of a file system' in line


@pytest.mark.parametrize(
  'config, message',
  [
    ('train.modle = 1', "doesn't have a parameter named 'modle'"),
    ('trian.model = 1', "No configurable matching 'trian'"),
    ('train.model = @nothing', "No configurable matching reference '@nothing'"),
    ('train.steps = (1,', 'EOF in multi-line statement'),
    ('train.steps 1', '(line 2): train.steps 1'),
    ('train.model = %gin.REQUIRED', 'train.model set to `%gin.REQUIRED`'),
    ('train.model = @HourglassLM', 'Ambiguous selector'),
    ('include "nothing.gin"', 'Unable to open file: nothing.gin'),
    ('import nothing.at.all', "No module named 'nothing'"),
    ('train.use_loop = False', 'train.use_loop: got False'),
    ("trax_hourglass.HourglassLM.hierarchy = '1@1 1@2'", "'1@1' faces '1@2'"),
    ("trax_hourglass.HourglassLM.hierarchy = '1@x'", "'1@x' is not of"),
    ('trax_hourglass.HourglassLM.n_heads = 3', 'd_model 8'),
    ('trax_hourglass.HourglassLM.vocab_size = 200', 'from 0 to 199'),
    ("trax_hourglass.text_file.path = '/nothing/here'", '/nothing/here'),
    ('trax_hourglass.text_inputs.length = 5000', 'at least one window'),
    ("trax_hourglass.evaluate.split = 'tset'", "split: got 'tset'"),
    ('trax_hourglass.evaluate.step = 17', 'step: got 17'),
    ("trax_hourglass.evaluate.text = 'book.txt'", "text: got 'book.txt'"),
    ("trax_hourglass.text_inputs.text = 'book.txt'", "text: got 'book.txt'"),
    ('trax_hourglass.text_inputs.seed = -1', 'seed: got -1'),
    ('train.eval_steps = 0', 'train.eval_steps: got 0'),
    ("train.steps = 'a'", "train.steps: got 'a'"),
    ('train.eval_frequency = 0', 'train.eval_frequency: got 0'),
    ("train.init_checkpoint = '/nothing'", '/nothing does not exist'),
  ],
)
def test_refuses_bad_configuration(text, tmp_path, capsys, config, message):
  argv = arguments(text, tmp_path / 'made' / 'below', config)
  line = fails(capsys, argv)
  assert line.startswith('error: ')
  assert message in line
  assert not (tmp_path / 'made').exists()


@pytest.mark.parametrize(
  'argument, message',
  [
    ('--config_file=nothing.gin', 'Unable to open file: nothing.gin'),
    ('--nothing', "Unknown command line flag 'nothing'"),
    ('--disable_jit=maybe', 'disable_jit'),
    ('nothing', "argument 'nothing'"),
    ('--gpu_cluster_port=1', '--gpu_cluster_port has no effect'),
    ('--xm', '--xm has no effect'),
    ('--data_dir=data', '--data_dir has no effect on trax_hourglass.text_in'),
  ],
)
def test_refuses_bad_flag(text, tmp_path, capsys, argument, message):
  line = fails(capsys, [*arguments(text, tmp_path / 'made'), argument])
  assert message in line
  assert not (tmp_path / 'made').exists()


def test_refuses_no_configuration(tmp_path, capsys):
  line = fails(capsys, ['train', f'--output_dir={tmp_path / "made"}'])
  assert line.startswith('error: train.model is not bound')
  assert not (tmp_path / 'made').exists()


def test_refuses_output_directory_that_cannot_be_made(text, capsys):
  line = fails(capsys, arguments(text, text / 'below'))
  assert line.startswith(f'error: --output_dir: cannot write to {text}/below')
  line = fails(capsys, arguments(text, text))
  assert line.startswith(f'error: --output_dir: cannot write to {text}')


def test_refuses_a_directory_that_takes_no_files(text, capsys):
  line = fails(capsys, arguments(text, '/proc'))
  assert line.startswith('error: --output_dir: cannot write to /proc')


@pytest.mark.parametrize('name', ['truncated', 'empty', 'other'])
def test_refuses_a_broken_enwik8(text, tmp_path, capsys, name):
  path = tmp_path / 'enwik8.zip'
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('enwik8', b'not the real one')
  if name != 'other':
    path.write_bytes(path.read_bytes()[: 30 if name == 'truncated' else 0])
  line = fails(
    capsys,
    arguments(
      text,
      tmp_path / 'made',
      'trax_hourglass.text_inputs.text = @trax_hourglass.enwik8()',
      f"trax_hourglass.enwik8.path = '{path}'",
    ),
  )
  assert 'enwik8' in line
  assert not (tmp_path / 'made').exists()
