"""Tests that --config takes effect, or is refused, or draws a warning."""

import re

import gin
import numpy as np
import optax
import pytest

from tests.commands import TINY, fails, run_of
from trax_hourglass import evaluate, generate, memory, plot_schedule, train
from trax_hourglass.configuration import (
  operative,
  reading,
  selectors,
  values,
)
from trax_hourglass.lab.benchmarks import device_memory

_PATH = 'trax_hourglass.text_file.path'
_MACROS = """
include '{tiny}'
TEXT = @trax_hourglass.text_file()
NESTED = %TEXT
LENGTH = 16
trax_hourglass.text_inputs.text = %TEXT
trax_hourglass.text_inputs.length = %LENGTH
trax_hourglass.evaluate.text = %NESTED
trax_hourglass.evaluate.length = %LENGTH
train.inputs = @scope/trax_hourglass.text_inputs
trax_hourglass.text_file.path = '{text}'
"""


@pytest.fixture(scope='module')
def places(tmp_path_factory):
  """A folder with two texts, gin files, and a run trained on the first text."""
  root = tmp_path_factory.mktemp('overrides')
  for name, n_bytes in (('old', 2000), ('new', 4000)):
    (root / name).write_bytes(np.random.default_rng(0).bytes(n_bytes))
  macros = root / 'macros.gin'
  macros.write_text(_MACROS.format(tiny=TINY, text=root / 'old'))
  train.main(['train', f'--config_file={macros}', f'--output_dir={root}/run'])
  # As earlier versions wrote it: the text that gin makes.
  (root / 'earlier.gin').write_text(gin.operative_config_str())
  return root


def _argv(name, *config):
  return [name, *(f'--config={binding}' for binding in config)]


def _evaluated(places, capsys, *argv, config=()):
  """Returns the number of bytes scored, and the warnings."""
  capsys.readouterr()
  run = f'--output_dir={places}/run'
  evaluate.main([*_argv('evaluate', *config), run, *argv])
  out, err = capsys.readouterr()
  n_bytes = out.partition(' over ')[2].split()[0]
  return n_bytes, [x for x in err.splitlines() if x.startswith('warning')]


def test_gin_hides_a_binding_in_the_scope_of_a_macro(places):
  content = (places / 'earlier.gin').read_text()
  assert f"\nTEXT/text_file.path = '{places}/old'\n" in content
  assert '\nscope/text_inputs.batch_size = 2\n' in content
  ours = (places / 'run/config.gin').read_text()
  assert f"\ntext_file.path = '{places}/old'\n" in ours
  assert not re.search(r'^\w+/', ours, re.M)


@pytest.mark.parametrize('file', [None, 'earlier.gin', 'macros.gin'])
def test_evaluate_takes_the_text_that_is_given(places, capsys, file):
  files = [f'--config_file={places}/{file}'] if file else []
  assert _evaluated(places, capsys, *files) == ('100', [])
  config = [f"{_PATH} = '{places}/new'"]
  assert _evaluated(places, capsys, *files, config=config) == ('200', [])
  assert 'gone.txt: cannot be read' in fails(
    capsys,
    [
      *_argv('evaluate', f"{_PATH} = 'gone.txt'"),
      f'--output_dir={places}/run',
      *files,
    ],
    main=evaluate.main,
  )


@pytest.mark.parametrize('file', ['earlier.gin', 'run/config.gin'])
def test_train_takes_what_is_given(places, tmp_path, file):
  argv = _argv(
    'train',
    f"{_PATH} = '{places}/new'",
    'trax_hourglass.text_inputs.batch_size = 3',
    'train.random_seed = 5',
    'train.steps = 1',
  )
  argv += [f'--config_file={places}/{file}', f'--output_dir={tmp_path}']
  finished = run_of(argv)
  assert 'over 200 bytes' in str(finished.score)
  # The batch's size is bound in no macro's scope, but called in one.
  config = (tmp_path / 'config.gin').read_text()
  for binding in (
    f"text_file.path = '{places}/new'",
    'text_inputs.batch_size = 3',
    'train.random_seed = 5',
  ):
    assert f'\n{binding}\n' in config
  assert '\n# seed: 5\n' in config


@pytest.mark.parametrize('file', ['earlier.gin', 'run/config.gin'])
def test_a_macro_may_be_given(places, capsys, file):
  files = [f'--config_file={places}/{file}']
  n_bytes, warnings = _evaluated(
    places,
    capsys,
    *files,
    config=['TEXT = @trax_hourglass.wikipedia_sample()', 'LENGTH = 128'],
  )
  assert (n_bytes, warnings) == ('250,000', [])


def test_a_resumed_run_takes_what_is_given(places, tmp_path):
  for file, steps, name, n_bytes in (
    ('macros.gin', 1, 'old', 100),
    ('earlier.gin', 2, 'new', 200),
  ):
    config = (f'train.steps = {steps}', f"{_PATH} = '{places}/{name}'")
    finished = run_of(
      [
        *_argv('train', *config),
        f'--config_file={places}/{file}',
        f'--output_dir={tmp_path}',
      ]
    )
    assert f'over {n_bytes} bytes' in str(finished.score)
    assert finished.loop.step == steps


def test_scopes_of_the_users_own_stay(places, tmp_path, capsys):
  """Two texts through one function, each bound in the scope of its macro."""
  two = tmp_path / 'two.gin'
  two.write_text(
    _MACROS.format(tiny=TINY, text=places / 'old')
    + 'TEST = @trax_hourglass.text_file()\n'
    + 'trax_hourglass.evaluate.text = %TEST\n'
    + f"TEST/{_PATH} = '{places}/new'\n"
  )
  argv = ['train', f'--config_file={two}', f'--output_dir={tmp_path}/run']
  assert 'over 200 bytes' in str(run_of(argv).score)
  earlier = tmp_path / 'earlier.gin'
  earlier.write_text(gin.operative_config_str())
  for file in (earlier, tmp_path / 'run/config.gin'):
    files = [f'--config_file={file}']
    assert _evaluated(places, capsys, *files) == ('200', [])
    # In the scope of one it wins there; without a scope it does for the other.
    config = [f"TEST/{_PATH} = '{places}/old'"]
    assert _evaluated(places, capsys, *files, config=config) == ('100', [])
  # It does for training alone, which evaluation says.
  n_bytes, warnings = _evaluated(
    places, capsys, *files, config=[f"{_PATH} = '{places}/old'"]
  )
  assert n_bytes == '200'
  line = ''.join(warnings)
  assert f'overridden by TEST/{_PATH} in {file} in every call' in line


def test_refuses_bindings_that_cannot_win(
  places, tmp_path, capsys, monkeypatch
):
  monkeypatch.setattr(device_memory, 'simulate', lambda n_devices: None)
  scoped = tmp_path / 'scoped.gin'
  scoped.write_text(
    f"include '{places}/macros.gin'\nTEXT/{_PATH} = '{places}/old'\n"
  )
  for main, flags in (
    (train.main, [f'--output_dir={tmp_path}/run']),
    (evaluate.main, [f'--output_dir={places}/run']),
    (generate.main, [f'--output_dir={places}/run']),
    (memory.main, []),
    (plot_schedule.main, []),
  ):
    argv = [*_argv('any', f"{_PATH} = '{places}/new'"), *flags]
    line = fails(capsys, [*argv, f'--config_file={scoped}'], main=main)
    assert (
      f'--config: {_PATH} has no effect: overridden by TEXT/{_PATH}' in line
    )
    assert str(scoped) in line
  both = [f"{_PATH} = '{places}/new'", f"TEXT/{_PATH} = '{places}/old'"]
  argv = [*_argv('evaluate', *both), f'--output_dir={places}/run']
  line = fails(capsys, argv, main=evaluate.main)
  assert f'TEXT/{_PATH} in --config' in line


@pytest.mark.parametrize(
  'binding',
  [
    'TXET = @trax_hourglass.text_file()',
    'trax_hourglass.image_inputs.batch_size = 2',
    'TXET/trax_hourglass.text_file.path = "new"',
    'trax_hourglass.evaluate_images.split = "test"',
  ],
)
def test_warns_of_bindings_that_nothing_uses(places, capsys, binding):
  _, warnings = _evaluated(places, capsys, config=[binding])
  name = binding.partition(' ')[0]
  assert warnings == [
    f'warning: --config: {name} has no effect: nothing in the configuration '
    'uses it; correct it or leave it out'
  ]


def test_training_warns_of_functions_that_it_never_calls(
  places, tmp_path, capsys
):
  config = (
    'trax.optimizers.SGD.learning_rate = 0.1',
    'trax_hourglass.HourglassLM.mode = "eval"',
    'train.steps = 1',
    'trax.optimizers.Adam.b1 = 0.8',
    'data.TFDS.dataset_name = "cifar10"',
  )
  argv = [*_argv('train', *config), f'--config_file={places}/macros.gin']
  train.main([*argv, f'--output_dir={tmp_path}'])
  sgd, mode = sorted(capsys.readouterr().err.splitlines())
  assert 'SGD.learning_rate has no effect: nothing calls it' in sgd
  assert 'HourglassLM.mode has no effect: callers pass that argument' in mode


@pytest.mark.parametrize(
  'config',
  [
    ['train.steps = 9', 'trax_hourglass.text_inputs.batch_size = 7'],
    ['trax_hourglass.evaluate.text = None'],
    ['trax.optimizers.SGD.learning_rate = 0.1'],  # Evaluation cannot know.
    ['trax_hourglass.Loop.save_every = 2', 'LENGTH = 8'],
    ['trax_hourglass.evaluate.n_bytes = 50'],
  ],
)
def test_bindings_of_another_command_draw_no_warning(
  places, capsysbinary, config
):
  run = [f'--output_dir={places}/run', '--length=1']
  generate.main([*_argv('generate', *config), *run])
  assert b'warning' not in capsysbinary.readouterr().err


def test_a_users_own_functions_may_use_anything(places, monkeypatch, capsys):
  selector_map = selectors.SelectorMap()
  for selector, configurable in gin.config._REGISTRY.items():
    selector_map[selector] = configurable
  selector_map['own.f'] = _foreign()
  monkeypatch.setattr(gin.config, '_REGISTRY', selector_map)
  config = ['own.f.x = 1', 'TXET = 3']
  assert _evaluated(places, capsys, config=config)[1] == []


def _foreign():
  def f(x):
    return x

  f.__module__ = 'own'
  return gin.config.Configurable(f, f, 'f', 'own', None, None, None, 'own.f')


@pytest.mark.parametrize(
  ('content', 'expected'),
  [
    (
      '# Parameters for A/f:\n# ==\nA/f.x = %B\n'
      '# Parameters for A/g:\n# ==\nA/g.y = \\\n    [1,\n     2]\n'
      '# Parameters for f:\n# ==\nf.x = %B\n',
      '# Parameters for A/f:\n# ==\nf.x = %B\n'
      '# Parameters for A/g:\n# ==\ng.y = \\\n    [1,\n     2]\n'
      '# Parameters for f:\n# ==\nf.x = %B\n',
    ),
    # A call without the scope was given another value, as by its caller.
    ('# Parameters for A/f:\nA/f.x = 1\n# Parameters for f:\n# None.\n', None),
    # References differ by their scopes, though gin has them equal.
    ('# Parameters for A/f:\nA/f.x = %B\nf.x = %C\n', None),
    ('# Parameters for A/f:\nA/f.x = @a/g\nf.x = @b/g\n', None),
    ('# Parameters for A/f:\nA/f.x = 1\nB/f.x = 1\n', None),
    ('A/f.x = 1\n', None),
    ('# Parameters for A/f:\nA/f.x = 1\nA/f.x = True\n', None),
  ],
)
def test_scopes_that_make_no_difference_are_taken_out(content, expected):
  got = operative.without_macro_scopes(content, 'a.gin')
  assert got == (expected or content)


_SMALL_WINDOW = (
  'train.model = @trax_hourglass.HourglassLM',
  'trax_hourglass.HourglassLM.middle_attn_type = %ATTENTION',
  'ATTENTION = @small/trax_hourglass.LocalAttention',
  'small/trax_hourglass.LocalAttention.window = 3',
  "trax_hourglass.Optax.rates = {'level_1.*': 0.1, '*': 1.0}",
)


@pytest.mark.parametrize(
  'written', [operative.operative_bindings, operative.all_bindings]
)
def test_what_is_written_means_the_same_when_it_is_read(tmp_path, written):
  reading.configure(config=_SMALL_WINDOW)
  transformation = optax.sgd(1.0)
  gin.get_configurable('trax_hourglass.Optax')(transformation)
  with gin.config_scope('small'):
    gin.get_configurable('trax_hourglass.LocalAttention')(d_model=2)
  values.value('ATTENTION')
  path = tmp_path / 'written.gin'
  path.write_text(written())
  reading.configure(config_file=str(path), config=_SMALL_WINDOW[:1])
  assert values.bound('small/trax_hourglass.LocalAttention.window') == 3
  assert values.bound('trax_hourglass.LocalAttention.window') is None
  # Of the patterns that match a weight's name, the first counts.
  assert list(values.bound('trax_hourglass.Optax.rates').values()) == [0.1, 1.0]
