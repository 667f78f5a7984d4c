"""Tests of which file an `include` reads."""

import gin
import pytest

from tests.commands import fails
from trax_hourglass.configuration import command_line, reading, values
from trax_hourglass.errors import UserError


@pytest.fixture
def places(tmp_path, monkeypatch):
  """A folder with gin files, and beside it the one to start from."""
  monkeypatch.chdir(_folder(tmp_path / 'cwd'))
  return tmp_path


def _folder(path):
  path.mkdir(parents=True, exist_ok=True)
  return path


def _write(path, content):
  _folder(path.parent)
  path.write_text(content)
  return path


def _read(path, *flags):
  command_line.start(['train', f'--config_file={path}', *flags])
  reading.configure(**command_line.configuration())
  return values.bound('train.steps')


_MODEL = 'train.model = @trax_hourglass.HourglassLM\n'


def test_an_error_in_a_module_that_a_file_imports_has_its_place(
  places, monkeypatch
):
  _write(places / 'faulty_module.py', "\n{}['gone']\n")
  monkeypatch.syspath_prepend(places)
  with pytest.raises(UserError) as raised:
    reading.configure(config=['import faulty_module'])
  assert "imports raised KeyError: 'gone' " in str(raised.value)
  assert '(faulty_module.py:2)' in str(raised.value)


def test_a_folder_of_data_may_have_any_name():
  model = 'train.model = @trax.models.TransformerLM'
  reading.configure(config=[model], data_dir="/data/bob's")
  assert values.bound('data_streams.data_dir') == "/data/bob's"


def test_include_is_the_file_beside(places):
  toy = _write(places / 'exp/toy.gin', "include 'quickstart.gin'\n")
  _write(places / 'exp/quickstart.gin', f'{_MODEL}train.steps = 7\n')
  _write(places / 'cwd/quickstart.gin', f'{_MODEL}train.steps = 8\n')
  assert _read(toy) == 7


def test_a_file_may_begin_with_a_byte_order_mark(places):
  assert _read(_write(places / 'a.gin', f'\ufeff{_MODEL}train.steps = 7')) == 7


def test_include_is_looked_for_here_and_then_among_ours(places):
  toy = _write(places / 'exp/toy.gin', "include 'quickstart.gin'\n")
  assert str(_read(toy)) == '%STEPS'
  _write(places / 'cwd/quickstart.gin', f'{_MODEL}train.steps = 8\n')
  assert _read(toy) == 8


def test_a_file_at_an_address_includes_what_is_beside_it(places, bucket):
  del places
  bucket.pipe(
    {
      '/exp/top.gin': b"include 'inner/middle.gin'\n",
      '/exp/inner/middle.gin': b"include '../quickstart.gin'\n",
      '/exp/quickstart.gin': b"include 'quickstart.gin'\ntrain.steps = 7\n",
    }
  )
  assert _read('memory://exp/top.gin') == 7
  assert values.selector('train.model') == 'trax_hourglass.HourglassLM'


def test_a_file_may_include_an_address(places, bucket):
  toy = _write(places / 'toy.gin', "include 'memory://steps.gin'\n")
  bucket.pipe('/steps.gin', f'{_MODEL}train.steps = 9\n'.encode())
  assert _read(toy) == 9


@pytest.mark.parametrize(
  ('content', 'mistake'),
  [
    (None, 'memory://exp/top.gin: there is no such file; check the address'),
    (b"include 'a.gin'", "includes 'a.gin', but .* for memory://exp/a.gin, "),
    (b"include 'top.gin'", 'gin: memory://exp/top.gin includes itself'),
    (b"include 'memory://b'", 'memory://b: there is no such file'),
  ],
)
def test_mistakes_at_an_address(places, bucket, content, mistake):
  del places
  if content is not None:
    bucket.pipe('/exp/top.gin', content)
  with pytest.raises(UserError, match=mistake):
    _read('memory://exp/top.gin')


def test_each_include_is_beside_its_own_file(places):
  top = _write(places / 'top.gin', "include 'inner/middle.gin'\n")
  _write(places / 'inner/middle.gin', f"{_MODEL}include '../base.gin'\n")
  _write(places / 'base.gin', "include 'inner/steps.gin'\n")
  _write(places / 'inner/steps.gin', 'train.steps = 9\n')
  assert _read(top) == 9
  assert _read('../top.gin') == 9


@pytest.mark.parametrize('name', ['tiny', 'gpu', 'lengths', 'chunks'])
def test_ours_include_what_is_named_from_their_common_folder(name, places):
  """gin/text.gin, not gin/reproduction/text.gin, which is beside them."""
  _read(f'reproduction/{name}.gin')
  model = gin.get_bindings(
    'trax_hourglass.HourglassLM', resolve_references=False
  )
  assert 'downsampling_fn' not in model
  assert 'evaluations' not in gin.get_bindings('trax_hourglass.reproduce')


def test_an_include_may_be_absolute_or_at_home(places, monkeypatch):
  monkeypatch.setenv('HOME', str(places))
  base = _write(places / 'base.gin', f'{_MODEL}train.steps = 5\n')
  for name in (base, '~/base.gin'):
    assert _read(_write(places / 'exp/toy.gin', f'include "{name}"')) == 5
  assert _read('~/exp/toy.gin') == 5


def test_our_files_include_ours(places):
  _write(places / 'cwd/text.gin', 'train.steps = 8\n')
  assert str(_read('quickstart.gin')) == '%STEPS'


def test_says_who_includes_what_is_not_there(places, capsys):
  toy = _write(places / 'exp/toy.gin', "include 'middle.gin'\n")
  middle = _write(places / 'exp/middle.gin', "\ninclude 'base.gin'\n")
  line = fails(capsys, ['train', f'--config_file={toy}'])
  assert f"{middle} includes 'base.gin', but there is no such file" in line
  for folder in ('exp', 'cwd'):
    assert f'{places}/{folder}/base.gin' in line
  assert '--config_file' not in line
  assert 'toy.gin' not in line


def test_a_file_may_build_on_one_of_its_name(places):
  own = _write(places / 'exp/quickstart.gin', "include 'quickstart.gin'\n")
  assert str(_read(own)) == '%STEPS'


def test_files_that_include_each_other(places, capsys):
  own = _write(places / 'exp/own.gin', "include './own.gin'\n")
  line = fails(capsys, ['train', f'--config_file={own}'])
  assert f'{own} includes itself' in line
  one = _write(places / 'exp/one.gin', "include 'other.gin'\n")
  _write(places / 'exp/other.gin', "include '../exp/one.gin'\n")
  line = fails(capsys, ['train', f'--config_file={one}'])
  assert f'{one} includes itself' in line


def test_safe_looks_at_the_files_that_are_read(places):
  toy = _write(places / 'exp/toy.gin', "include 'quickstart.gin'\n")
  assert str(_read(toy, '--safe')) == '%STEPS'
  _write(places / 'exp/quickstart.gin', 'import antigravity\n')
  with pytest.raises(UserError, match=r'exp/quickstart.gin, expected'):
    _read(toy, '--safe')


def test_safe_looks_at_what_the_command_line_includes(places):
  bad = _write(places / 'exp/bad.gin', 'import antigravity\n')
  with pytest.raises(UserError, match='an import of antigravity'):
    _read('quickstart.gin', '--safe', f'--config=include "{bad}"')


def test_gin_is_left_as_it_was(places):
  before = gin.config.parse_config_file
  _read('quickstart.gin')
  with pytest.raises(UserError):
    _read('nothing.gin')
  assert gin.config.parse_config_file is before


def test_paths_of_data_are_relative_to_the_current_directory(places, capsys):
  toy = _write(
    places / 'exp/toy.gin',
    "include 'quickstart.gin'\nTEXT = @trax_hourglass.text_file()\n"
    "trax_hourglass.text_file.path = 'corpus.txt'\n",
  )
  _write(places / 'exp/corpus.txt', 'beside')
  argv = ['train', f'--config_file={toy}', f'--output_dir={places}/run']
  assert f'{places}/cwd/corpus.txt' in fails(capsys, argv)
  for data, selector in (
    ('enwik8', 'enwik8.data_dir'),
    ('image_folder', 'image_folder.path'),
  ):
    line = fails(
      capsys,
      [
        *argv,
        f'--config=TEXT = @trax_hourglass.{data}()',
        f'--config=trax_hourglass.{selector} = "corpora"',
      ],
    )
    assert f'{places}/cwd/corpora' in line
