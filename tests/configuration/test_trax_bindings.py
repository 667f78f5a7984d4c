"""Tests of taking Trax's bindings over, and of ambiguous short names."""

import gin
import numpy as np
import pytest
from trax import shapes

from tests.commands import fails
from tests.configuration import authors_files
from trax_hourglass import memory, plot_schedule
from trax_hourglass.configuration import (
  bindings,
  command_line,
  exits,
  explain,
  reading,
  selectors,
  trax_bindings,
  values,
)
from trax_hourglass.lab.benchmarks import device_memory

OURS = '--model=trax_hourglass.HourglassLM'
LSH = 'trax_hourglass.LSHAttention'


@pytest.fixture(autouse=True)
def cleared():
  yield
  gin.clear_config()


@pytest.fixture
def configure(tmp_path):
  """Returns a function that reads a form with bindings and flags."""

  def configure(name, *config, argv=(OURS,)):
    command_line.start(_arguments(tmp_path, name, *config, argv=argv))
    reading.configure(**command_line.configuration())

  return configure


def _arguments(folder, name, *config, argv=(OURS,)):
  path = folder / f'{name}.gin'
  path.write_text(authors_files.FORMS[name])
  config = [f'--config={binding}' for binding in config]
  return ['train', f'--config_file={path}', *config, *argv]


def _bound(name):
  return values.bound(f'trax_hourglass.HourglassLM.{name}')


@pytest.mark.parametrize('name', authors_files.FORMS)
def test_every_binding_of_the_model_is_taken_over(configure, name):
  configure(name)
  theirs = gin.get_bindings('trax.models.HourglassLM', resolve_references=False)
  ours = gin.get_bindings(
    'trax_hourglass.HourglassLM', resolve_references=False
  )
  assert set(theirs) == set(ours)
  for parameter, found in theirs.items():
    if not parameter.endswith(('_fn', '_type')):
      assert str(ours[parameter]) == str(found)
    else:
      assert str(ours[parameter]).startswith('@trax_hourglass.')
  assert str(values.bound('train.model')) == '@trax_hourglass.HourglassLM'


def test_resamplers_and_attention_become_ours(configure):
  configure(
    'imagenet64', 'HourglassLM.middle_attn_type = @RelativeAttentionWrapper'
  )
  assert str(_bound('downsampling_fn')) == '@trax_hourglass.LinearPooling'
  assert str(_bound('upsampling_fn')) == '@trax_hourglass.LinearUpsampling'
  assert str(_bound('vanilla_attn_type')) == f'@{LSH}'
  relative = '@trax_hourglass.RelativeAttention'
  assert str(_bound('middle_attn_type')) == relative
  assert gin.get_bindings(LSH) == {
    'chunk_len': 256,
    'n_chunks_before': 1,
    'n_hashes': 2,
    'n_buckets': None,
  }


def test_defaults_of_trax_are_taken_over_too(configure):
  """A single hash, where ours has two, and chunks of 128."""
  bound = {
    'pure_lsh_implementation': '@PureLSHSelfAttention',
    'num_weights': '2',
    'rotary_position_emb': 'True',
  }
  configure(
    'cifar10',
    'HourglassLM.vanilla_attn_type = @here/PureLSHSelfAttentionWrapper',
    *(f'here/PureLSHSelfAttentionWrapper.{k} = {v}' for k, v in bound.items()),
  )
  assert str(_bound('vanilla_attn_type')) == f'@here/{LSH}'
  with gin.config_scope('here'):
    found = gin.get_bindings(LSH)
  assert (found['n_hashes'], found['chunk_len']) == (1, 128)


def test_other_attention_of_trax_runs_inside_ours(configure):
  configure('imagenet64', 'attention = @trax.layers.SelfAttention')
  assert str(_bound('vanilla_attn_type')) == '%attention'
  assert 'SelfAttention' in str(bindings.model('eval'))


def test_what_is_bound_to_ours_stays(configure):
  configure(
    'enwik8',
    'trax_hourglass.HourglassLM.d_model = 32',
    'trax_hourglass.HourglassLM.rematerialize = True',
    'HourglassLM.d_ff = 64',
  )
  found = [_bound(name) for name in ('d_model', 'd_ff', 'rematerialize')]
  assert found == [32, 64, True]


def test_what_is_given_wins_over_what_a_saved_configuration_says(tmp_path):
  saved = tmp_path / 'config.gin'
  saved.write_text(
    'train.model = @trax_hourglass.HourglassLM\n'
    'trax_hourglass.HourglassLM.d_model = 16\n'
    'trax_hourglass.HourglassLM.d_ff = 16\n'
    'HourglassLM.n_heads = 4\n'
    'trax_hourglass.HourglassLM.n_heads = 2\n'
  )
  bindings = ('HourglassLM.d_model = 32', 'HourglassLM.d_ff = 32')
  ours = 'trax_hourglass.HourglassLM.d_ff = 64'
  config = [f'--config={binding}' for binding in (*bindings, ours)]
  command_line.start(['train', f'--config_file={saved}', OURS, *config])
  reading.configure(**command_line.configuration())
  found = [_bound(name) for name in ('d_model', 'd_ff', 'n_heads')]
  assert found == [32, 64, 2]


@pytest.mark.parametrize(
  ('binding', 'mistake'),
  [
    (
      'PureLSHSelfAttentionWrapper.num_weights = 3',
      'PureLSHSelfAttentionWrapper.num_weights = 3 has no counterpart',
    ),
    (
      'PureLSHSelfAttention.n_chunks_after = 1',
      'PureLSHSelfAttention.n_chunks_after = 1 has no counterpart',
    ),
    (
      'PureLSHSelfAttentionWrapper.pure_lsh_implementation = '
      '@MixedLSHSelfAttention',
      'pure_lsh_implementation = @MixedLSHSelfAttention has no counterpart',
    ),
    (
      'LinearPooling.dropout = 0.1',
      'LinearPooling.dropout = 0.1 has no counterpart',
    ),
  ],
)
def test_what_has_no_counterpart_is_refused(tmp_path, capsys, binding, mistake):
  argv = _arguments(tmp_path, 'imagenet64', binding)
  line = fails(capsys, argv, main=plot_schedule.main)
  assert mistake in line


@pytest.mark.parametrize(
  ('flag', 'expected'),
  [
    ('--model=trax_hourglass.Hourglass', 'expected trax_hourglass.HourglassLM'),
    ('--model=Hourglas', '@trax.models.Hourglas'),
    ('--dataset=trax_hourglass.enwik9', 'expected one of trax_hourglass.enwi'),
  ],
)
def test_flags_name_what_there_is(tmp_path, capsys, flag, expected):
  argv = _arguments(tmp_path, 'enwik8', argv=(flag,))
  assert expected in fails(capsys, argv, main=plot_schedule.main)


def test_dataset_is_refused_beside_data_of_ours(capsys):
  argv = [
    'x',
    '--config_file=quickstart.gin',
    '--dataset=trax_hourglass.enwik8',
  ]
  line = fails(capsys, argv, main=plot_schedule.main)
  assert 'no effect on trax_hourglass.text_inputs' in line


def test_the_authors_windows_take_the_place_of_theirs(configure):
  configure('enwik8', argv=('--dataset=trax_hourglass.enwik8',))
  assert str(values.bound('train.inputs')) == '@trax_hourglass.text_inputs'
  found = gin.get_bindings(
    'trax_hourglass.text_inputs', resolve_references=False
  )
  assert str(found.pop('text')) == '@trax_hourglass.enwik8()'
  assert found == {
    'length': 2049,
    'batch_size': 8,
    'eval_batch_size': 8,
    'stride': 512,
  }


def test_data_of_ours_needs_a_length_that_nothing_binds(configure):
  lengths = ('batcher.buckets = None', 'batcher.max_eval_length = None')
  configure('enwik8', *lengths, argv=('--dataset=trax_hourglass.enwik8',))
  assert values.bound('trax_hourglass.text_inputs.stride') == 512
  assert values.bound('trax_hourglass.text_inputs.length') is None


def test_a_short_selector_means_traxs_where_ours_is_imported():
  gin.parse_config(authors_files.FORMS['cifar10'])
  assert gin.query_parameter('trax.models.HourglassLM.hierarchy') == '8@3'
  reference = gin.query_parameter('HourglassLM.attention_downsampling_fn')
  assert reference.configurable.selector == 'trax.layers.LinearPooling'
  assert gin.config._REGISTRY.matching_selectors('LSHAttention') == [LSH]


def test_a_short_selector_of_two_others_stays_ambiguous():
  names = selectors.SelectorMap()
  for name in ('a.f', 'b.f', 'trax_hourglass.f', 'trax_hourglass.g'):
    names[name] = name
  with pytest.raises(KeyError, match=r"\['[ab].f', '[ab].f'\]"):
    names.get_match('f')
  for selector in ('a.f', 'b.f', 'trax_hourglass.f', 'trax_hourglass.g'):
    assert names.get_match(selector) == selector
  assert names.get_match('g') == 'trax_hourglass.g'
  assert not names.resolved


def test_a_chunk_that_does_not_divide_the_length(
  tmp_path, capsys, configure, monkeypatch
):
  """Trax's model says so in one line, that names its layer; ours takes it."""
  monkeypatch.setattr(device_memory, 'simulate', lambda n: None)
  toy = (
    *authors_files.TOY,
    "HourglassLM.hierarchy = '1@3'",
    'PureLSHSelfAttention.chunk_len = 8',
  )
  argv = [*_arguments(tmp_path, 'imagenet64', *toy, argv=()), '--tokens=30']
  line = fails(capsys, argv, main=memory.main)
  assert 'layer PureLSHSelfAttention, with an input of shape (2, 30, 4)' in line
  assert 'got 30 tokens' in line
  assert 'a multiple of 24' in line
  assert OURS in line
  configure('imagenet64', *toy)
  tokens = shapes.ShapeDtype((1, 30), np.int32)
  bindings.model('train').weights_and_state_signature(tokens)


@pytest.mark.parametrize(
  ('config', 'multiple'),
  [
    ('', 3),
    ("HourglassLM.hierarchy = '1@2 1@4 1@2'", 4),
    ('HourglassLM.vanilla_attn_type = @SelfAttention', 3),
    (
      'HourglassLM.vanilla_attn_type = @SelfAttention\n'
      'HourglassLM.middle_attn_type = @SelfAttention\n'
      'SelfAttention.chunk_len = 5',
      15,
    ),
    ('train.model = @trax.models.TransformerLM', 1),
  ],
)
def test_which_lengths_trax_takes(configure, config, multiple):
  configure('cifar10', config, argv=())
  assert trax_bindings.length_multiple() == multiple


def test_mistakes_that_show_when_traxs_model_is_built(tmp_path, capsys):
  for binding, mistake in {
    'HourglassLM.hierarchy = 8': 'HourglassLM: AttributeError: ',
    "HourglassLM.hierarchy = '8'": 'HourglassLM: IndexError: list index',
    'HourglassLM.n_heads = 7': 'HourglassLM: AssertionError: assert d_model',
  }.items():
    argv = _arguments(tmp_path, 'enwik8', binding, argv=())
    assert mistake in fails(capsys, argv, main=_build)


@exits.exit_codes()
def _build(argv):
  command_line.start(argv)
  reading.configure(**command_line.configuration())
  with explain.config_errors():
    bindings.model('eval')
