"""Every gin file is parsed, finalised, built, counted and read as it says."""

import collections
import inspect
import pathlib
import re

import gin
import pytest
from trax import fastmath
import trax.models
import trax.supervised.trainer_lib

from tests import gin_tables, trax_tools
from tests.configuration import authors_files
from tests.gin_tables import MODELS
from trax_hourglass import HourglassLM, RelativeAttention
from trax_hourglass import hierarchy as hierarchy_lib

GIN = pathlib.Path(__file__).parent.parent / 'gin'
MODEL = 'trax_hourglass.HourglassLM'

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


def bound(name, default=None):
  """Returns a parameter's value, macros replaced, a reference as a name."""
  try:
    value = gin.query_parameter(name)
  except ValueError:
    return default
  if str(value).startswith('%'):
    return bound(str(value))
  match = re.fullmatch(r'@(?:\w+\.)*(\w+)(?:\(\))?', str(value))
  return match[1] if match else value


def keys(name):
  """Returns the keys of a file in a table, the most specific first."""
  row = re.sub('(cifar10|enwik8)_|[.]gin', '', name)
  data_set = 'cifar10' if 'cifar10' in name else 'enwik8'
  return name, row, row.partition('/')[0], data_set


def entry(table, name, default=None):
  return next((table[key] for key in keys(name) if key in table), default)


def resampling(kind):
  name = bound(f'{MODEL}.{kind}_fn')
  if name != 'AttentionResampling':
    return name
  return 'attention to ' + bound(f'{MODEL}.attention_{kind}_fn')


def paper_files(*, authors=True):
  """Returns the files of its experiments; those of ours have other sizes."""
  pattern = 'table|figure|imagenet|enwik8' + ('|authors' if authors else '')
  return [name for name in MODELS if re.match(pattern, name)]


def test_every_gin_file_has_an_entry():
  files = {path.relative_to(GIN).as_posix() for path in GIN.rglob('*.*')}
  assert files == gin_tables.BASES | set(MODELS)


@every_file
def test_parses_and_builds_the_model_of_its_row(name, parse):
  parse(name)
  assert bound('train.model') == 'HourglassLM'
  gin.query_parameter('train.model').scoped_configurable_fn(mode='train')
  model = gin.get_bindings(MODEL)
  assert (model['hierarchy'], count_by_blocks(model)) == MODELS[name]


@every_file
def test_header_says_how_to_run_it_and_what_came_of_it(name):
  header, _, _ = (GIN / name).read_text().partition('\n\nimport ')
  text = ' '.join(header.replace('\n#', ' ').replace('\\', '').split())
  assert (
    f'python -m trax_hourglass.train --config_file={name} --output_dir=runs/'
  ) in text
  assert re.search('Measured here|Not run', text)
  assert all(len(line) <= 80 for line in (GIN / name).read_text().splitlines())


@pytest.mark.parametrize('name', paper_files())
def test_trains_and_scores_as_stated(name, parse):
  parse(name)
  run = entry(gin_tables.RUNS, name)
  inputs, evaluate, data = 'text_inputs', 'evaluate', 'text'
  if not run.lengths:
    inputs, evaluate, data = 'image_inputs', 'evaluate_images', 'images'
  assert bound('train.inputs') == inputs
  for part in (inputs, evaluate):
    assert bound(f'trax_hourglass.{part}.{data}') == run.data
  assert bound(f'trax_hourglass.{inputs}.batch_size') == run.batch_size
  assert bound(f'trax_hourglass.{evaluate}.split') == run.split
  if run.lengths:
    assert run.lengths == (
      bound('trax_hourglass.text_inputs.length'),
      bound('trax_hourglass.text_inputs.stride'),
      bound('trax_hourglass.evaluate.length'),
      bound('trax_hourglass.evaluate.step'),
    )
  assert bound(f'{MODEL}.dropout') == run.dropout
  assert bound(f'{MODEL}.n_heads') == 8
  assert bound('train.steps') == max(run.rates)
  schedule = gin.query_parameter('train.lr_schedule_fn')
  with fastmath.use_backend(fastmath.Backend.NUMPY):
    schedule = schedule.scoped_configurable_fn()
    rates = {step: float(schedule(step)) for step in run.rates}
  assert rates == pytest.approx(run.rates, rel=1e-3, abs=1e-12)
  assert bound('train.optimizer') == 'Adam'
  assert gin.get_bindings('trax.optimizers.Adam') == {
    'b1': 0.9,
    'b2': 0.98,
    'eps': 1e-9,
    'weight_decay_rate': 0.0,
  }


@pytest.mark.parametrize('name', paper_files(authors=False))
def test_resamples_as_stated(name, parse):
  parse(name)
  assert resampling('downsampling') == entry(gin_tables.SHORTENING, name)
  assert resampling('upsampling') == entry(gin_tables.UPSAMPLING, name)


@pytest.mark.parametrize('name', paper_files())
def test_attends_as_stated(name, parse):
  parse(name)
  *is_lsh, chunk_len = entry(gin_tables.LSH, name, (False, False, None))
  kinds = [bound(f'{MODEL}.{part}_attn_type') for part in ('vanilla', 'middle')]
  assert [kind == 'LSHAttention' for kind in kinds] == is_lsh
  assert bound('trax_hourglass.LSHAttention.chunk_len') == chunk_len
  if chunk_len:
    assert bound('trax_hourglass.LSHAttention.n_hashes') == 2


OURS = {
  'RelativeAttentionWrapper': 'RelativeAttention',
  'PureLSHSelfAttentionWrapper': 'LSHAttention',
}
# Other data than wiki40b; no checkpoint at step 1000.
DIFFERENCES = {
  'wiki40b': {'vocab_size': 256, 'eval_steps': 305, 'checkpoint_lowest': None},
  'imagenet64': {'checkpoints_at': None},
}


def model_and_run(model):
  """Returns a model's arguments, and when it is evaluated and saved."""
  parameters = inspect.signature(trax.models.HourglassLM).parameters
  arguments = {name: parameters[name].default for name in parameters}
  arguments |= gin.get_bindings(model)
  found = {name: arguments[name] for name in parameters if name != 'mode'}
  for name, value in found.items():
    if callable(value):
      found[name] = OURS.get(value.__name__, value.__name__)
  run = gin.get_bindings('train', resolve_references=False)
  for name in ('eval_frequency', 'checkpoint_lowest', 'checkpoints_at'):
    found[name] = run.get(name)
  found['permanent_checkpoints_at'] = run.get('permanent_checkpoints_at')
  found['eval_steps'] = bound('train.eval_steps')
  return found


@pytest.mark.parametrize('name', authors_files.FORMS)
def test_authors_files_bind_what_theirs_do(name, parse):
  gin.clear_config()
  gin.parse_config(authors_files.FORMS[name])
  theirs = model_and_run('trax.models.HourglassLM')
  lsh = gin.get_bindings('PureLSHSelfAttention')
  parse(f'authors/hourglass_{name}.gin')
  assert model_and_run(MODEL) == theirs | DIFFERENCES.get(name, {})
  for key, value in gin.get_bindings('trax_hourglass.LSHAttention').items():
    assert lsh[key] == value


@pytest.mark.parametrize('row', gin_tables.TABLE_1)
def test_table_1_has_the_weights_of_the_paper(row):
  name = f'table1/{row.replace("@", "x").replace(" ", "_")}.gin'
  hierarchy, n_weights = MODELS[name]
  assert hierarchy == row
  assert round(n_weights / 1e6) == gin_tables.TABLE_1[row]


def test_imagenet32_has_the_weights_of_the_published_model():
  for name in ('imagenet32.gin', 'authors/hourglass_imagenet32.gin'):
    _, n_weights = MODELS[name]
    assert round(n_weights / 1e4) == 11113


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
