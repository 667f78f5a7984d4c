"""Every gin file is parsed, finalised, built, counted and read as it says."""

import collections
import pathlib
import re

import gin
import pytest

from tests import authors_settings, paper_settings, trax_tools
from tests.paper_settings import MODEL, MODELS
from trax_hourglass import HourglassLM, RelativeAttention
from trax_hourglass import hierarchy as hierarchy_lib

GIN = pathlib.Path(__file__).parent.parent / 'gin'

# Files that need another one on top of them.
BASES = {
  'authors/base.gin',
  'cifar10_ablation.gin',
  'enwik8_ablation.gin',
  'figure7/base.gin',
  'images.gin',
  'table4/base.gin',
  'text.gin',
  'training.gin',
}
every_file = pytest.mark.parametrize('name', MODELS)


@pytest.fixture
def parse(monkeypatch, tmp_path):
  """A function that reads a file, as somebody in another directory would."""
  monkeypatch.chdir(tmp_path)

  def parse(name):
    gin.clear_config()
    gin.parse_config_file(name)
    gin.finalize()

  yield parse
  gin.clear_config()


def bound(name):
  """Returns a parameter's value, macros replaced, a reference as '@name'."""
  value = gin.query_parameter(name)
  if str(value).startswith('%'):
    return bound(str(value))
  return str(value) if str(value).startswith('@') else value


def check(settings):
  for configurable, parameters in settings.items():
    expected = {
      f'{configurable}.{name}': parameters[name] for name in parameters
    }
    assert {name: bound(name) for name in expected} == expected


def test_every_file_is_here():
  files = {path.relative_to(GIN).as_posix() for path in GIN.rglob('*.*')}
  assert files == BASES | set(MODELS)


@every_file
def test_parses_and_builds(name, parse):
  parse(name)
  assert bound('train.model') == f'@{MODEL}'
  gin.query_parameter('train.model').scoped_configurable_fn(mode='train')


@every_file
def test_header_says_how_to_run_it_and_what_came_of_it(name):
  header, _, _ = (GIN / name).read_text().partition('\n\nimport ')
  text = ' '.join(header.replace('\n#', ' ').replace('\\', '').split())
  assert (
    f'python -m trax_hourglass.train --config_file={name} --output_dir=runs/'
  ) in text
  assert re.search('Measured here|Not run', text)
  assert all(len(line) <= 80 for line in (GIN / name).read_text().splitlines())


@pytest.mark.parametrize('name', paper_settings.MAIN_RESULTS)
def test_main_results(name, parse):
  parse(name)
  check(paper_settings.ADAM)
  check(paper_settings.MAIN_RESULTS[name])


@pytest.mark.parametrize('name', authors_settings.FILES)
def test_authors_files(name, parse):
  parse(name)
  check(authors_settings.COMMON)
  check(authors_settings.FILES[name])


@pytest.mark.parametrize(
  'name', [name for name in MODELS if re.match('table|figure', name)]
)
def test_ablations(name, parse):
  parse(name)
  check(paper_settings.ADAM)
  data_set = 'cifar10' if 'cifar10' in name else 'enwik8'
  settings = paper_settings.ABLATIONS[data_set]
  row = name.removesuffix('.gin').replace(f'{data_set}_', '')
  folder, _, _ = row.partition('/')
  of_row = [paper_settings.ROWS.get(key, {}) for key in (folder, row)]
  check({**settings, MODEL: {**settings[MODEL], **of_row[0], **of_row[1]}})


@pytest.mark.parametrize('row', paper_settings.TABLE_1)
def test_table_1(row):
  name = f'table1/{row.replace("@", "x").replace(" ", "_")}.gin'
  hierarchy, n_weights = MODELS[name]
  assert hierarchy == row
  assert round(n_weights / 1e6) == paper_settings.TABLE_1[row]


def test_imagenet32_has_the_weights_of_the_published_model():
  for name in ('imagenet32.gin', 'authors/hourglass_imagenet32.gin'):
    _, n_weights = MODELS[name]
    assert round(n_weights / 1e4) == 11113


@every_file
def test_model(name, parse):
  parse(name)
  model = gin.get_bindings(MODEL)
  assert (model['hierarchy'], count_by_blocks(model)) == MODELS[name]


@pytest.mark.slow
@pytest.mark.parametrize(
  'name',
  [n for n in MODELS if re.match('table1|table4/2x|imagenet|authors', n)],
)
def test_counting_by_blocks_counts_the_whole_model(name, parse):
  parse(name)
  _, n_weights = MODELS[name]
  assert count(gin.get_bindings(MODEL)) == n_weights


_counted = {}


def count(arguments, **changes):
  """Returns the weights of a model, which is traced but never allocated."""
  arguments = {**arguments, **changes, 'dropout': 0.0, 'mode': 'eval'}
  key = repr(
    sorted((k, getattr(v, '__name__', v)) for k, v in arguments.items())
  )
  if key not in _counted:
    model = HourglassLM(**arguments)
    layer = trax_tools.Jitted(model, trax_tools.tokens_signature(12))
    _counted[key] = sum(_size(shape) for shape in layer.shapes)
  return _counted[key]


def count_by_blocks(arguments):
  """Counts a model of one block, and adds those that were left out.

  To trace all blocks would take minutes; those of the same kind of attention
  have the same weights.
  """
  left_out = collections.Counter()

  def thin(level):
    is_vanilla = level.total_shorten_factor == 1
    kind = 'vanilla_attn_type' if is_vanilla else 'middle_attn_type'
    n_kept = 0 if level.inners else min(level.n_pre, 1)
    left_out[arguments.get(kind, RelativeAttention)] += (
      level.n_pre + level.n_post - n_kept
    )
    inners = tuple(thin(inner) for inner in level.inners[:1])
    return hierarchy_lib.Level(level.total_shorten_factor, n_kept, 0, inners)

  level = hierarchy_lib.parse(
    arguments['hierarchy'], arguments.get('vanilla_layers')
  )
  n_weights = count(arguments, hierarchy=str(thin(level)), vanilla_layers=None)
  sizes = {name: arguments[name] for name in ('vocab_size', 'd_model', 'd_ff')}
  for attention, n_blocks in left_out.items():
    sizes['vanilla_attn_type'] = attention
    block = count(sizes, hierarchy='2@1') - count(sizes, hierarchy='1@1')
    n_weights += n_blocks * block
  return n_weights


def _size(shape):
  size = 1
  for n in shape:
    size *= n
  return size
