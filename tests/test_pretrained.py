"""Models that ship with the package, and folders that `export` writes."""

import hashlib
import pathlib
import re
import runpy
import shutil
import sys

import numpy as np
import pytest

from tests.commands import TINY, fails
import trax_hourglass as th
from trax_hourglass import (
  commands,
  evaluate,
  generate,
  pretrained_models,
  train,
)
from trax_hourglass.configuration import bindings, reading

MODEL = 'trax_hourglass.HourglassLM'
TITLE = '# toy: random bytes, 7.99 bits per byte\n'


@pytest.fixture(scope='module')
def folder(text, tmp_path_factory):
  """A folder with a model, as `export --folder` writes it."""
  path = tmp_path_factory.mktemp('shipped') / 'toy'
  path.mkdir()
  config = (
    f"{MODEL}.hierarchy = '0@1 1@2 0@1'",
    f"trax_hourglass.text_file.path = '{text}'",
    'trax_hourglass.evaluate.n_bytes = 100',
  )
  lines = '\n'.join([TINY.read_text(), *config])
  (path / 'config.gin').write_text(lines)
  reading.configure(config_file=str(path / 'config.gin'))
  model = th.HourglassLM(**bindings.model_arguments())
  model.init(model.tokens_signature)
  th.save_safetensors(model, path / 'model.safetensors', 'bfloat16')
  return path


@pytest.fixture
def toy(folder, monkeypatch):
  """The name of that model, which ships with the package in this test."""
  (folder / 'README.md').write_text(TITLE)
  monkeypatch.setattr(pretrained_models, 'FOLDER', folder.parent)
  return 'toy'


def test_evaluate_and_generate_take_both(toy, folder, capsysbinary):
  scores = set()
  for given in (toy, folder):
    evaluate.main(['evaluate', f'--pretrained={given}'])
    out, err = capsysbinary.readouterr()
    scores.add(out.decode())
    assert f'{folder}/config.gin' in err.decode()
  assert len(scores) == 1
  generate.main(['generate', f'--pretrained={toy}', '--length=3'])
  part = next(commands.generate_text(pretrained=toy, length=3))
  assert part.texts()[0] == capsysbinary.readouterr().out
  rows = next(
    commands.continue_prompts(pretrained=toy, prompts=[b''], length=3)
  )
  np.testing.assert_array_equal(part.tokens[0, :3], rows.tokens[0])


def test_a_folder_may_be_in_a_bucket(toy, folder, tmp_path, bucket):
  bucket.put(f'{folder}/', '/b/toy/', recursive=True)
  there = commands.evaluate(pretrained='memory://b/toy')
  here = commands.evaluate('pretrained://toy')
  # A single window has no standard error: NaN, which equals NaN here.
  np.testing.assert_equal(vars(there), vars(here))


def test_training_starts_from_it_and_resumes(toy, folder, tmp_path):
  flags = [f'--output_dir={tmp_path}', '--config=train.steps = 3']
  still = [
    '--config=lr_schedules.constant.value = 0.0',
    '--config=trax.optimizers.Adam.weight_decay_rate = 0.0',
  ]
  train.main(['train', f'--pretrained={toy}', *flags, *still])
  first = th.load_checkpoint(tmp_path)['flat_weights']
  for x, y in zip(
    first, th.named_weights(th.pretrained(toy)).values(), strict=True
  ):
    np.testing.assert_array_equal(x, y)
  text = (tmp_path / 'config.gin').read_text()
  assert "\ntrain.init_checkpoint = 'pretrained://toy'\n" in text
  content = (folder / 'model.safetensors').read_bytes()
  digest = hashlib.sha256(content).hexdigest()
  assert f'\n# first weights: pretrained://toy, SHA-256 {digest}\n' in text
  config = shutil.copy(tmp_path / 'config.gin', tmp_path / 'saved')
  train.main(['train', f'--config_file={config}', *flags])  # At its end.
  again = commands.train(
    tmp_path, config_file=str(config), config=['train.steps = 4']
  )
  assert again.n_steps == 1
  resumed = (tmp_path / 'config_3.gin').read_text()
  assert "train.init_checkpoint = 'pretrained://toy'" in resumed


@pytest.mark.parametrize(
  ('binding', 'line'),
  [
    ("hierarchy = '0@1 1@4 0@1'", "expected '0@1 1@2 0@1'"),
    ('d_model = 16', 'd_model: got 16, expected 8'),
    ('n_heads = 4', 'n_heads: got 4, expected 2'),  # Of the same shapes.
    ('vanilla_attn_type = @trax_hourglass.RotaryAttention', 'RotaryAttention'),
  ],
)
def test_another_model_is_refused(toy, tmp_path, capsys, binding, line):
  flags = [f'--pretrained={toy}', f'--config={MODEL}.{binding}']
  output_dir = f'--output_dir={tmp_path}/new'
  for main, other in ((train.main, [output_dir]), (evaluate.main, [])):
    message = fails(capsys, ['', *flags, *other], main=main)
    assert line in message
    assert 'was trained with; leave that binding out' in message
  assert not list(tmp_path.iterdir())


def test_the_same_model_may_be_written_and_run_otherwise(toy, folder):
  path = f'{folder}/model.safetensors'
  changes = (
    "hierarchy = '1@2'",
    'vanilla_layers = (0, 0)',
    'dropout = 0.3',
    'max_inference_length = 99',
    'vanilla_attn_type = @trax_hourglass.RelativeAttention',
  )
  reading.configure(
    config_file=f'{folder}/config.gin',
    config=[
      *(f'{MODEL}.{change}' for change in changes),
      "trax_hourglass.RelativeAttention.implementation = 'cudnn'",
    ],
  )
  bindings.check_model(path)


def test_no_such_model(toy, tmp_path):
  message = "got 'tow', expected a folder .* one of these: toy: random bytes, 7"
  with pytest.raises(th.UserError, match=message):
    th.pretrained('tow')
  with pytest.raises(th.UserError, match='a folder without model.safetensors'):
    th.pretrained(tmp_path)
  with pytest.raises(th.UserError, match=message):
    commands.evaluate('pretrained://tow')
  for both in ({'checkpoint': 'a', 'pretrained': toy}, {}):
    with pytest.raises(th.UserError, match='expected one of the two'):
      commands.evaluate(**both)
  with pytest.raises(th.UserError, match='are both given'):
    commands.train(tmp_path / 'new', init_checkpoint='a', pretrained=toy)


def test_flags_that_contradict(toy, capsys):
  for main, flag in (
    (train.main, 'init_checkpoint'),
    (evaluate.main, 'output_dir'),
    (generate.main, 'checkpoint'),
  ):
    line = fails(capsys, ['', f'--pretrained={toy}', f'--{flag}=a'], main=main)
    assert f'--{flag} and --pretrained are both given' in line
  flags = ['', f'--pretrained={toy}', '--output_dir=a']
  line = fails(capsys, flags, main=generate.main)
  assert '--output_dir has no effect on a pretrained model of text' in line
  images = '--config=train.inputs = @trax_hourglass.image_inputs'
  line = fails(capsys, ['', flags[1], images], main=generate.main)
  assert '--output_dir: not given, expected where to write' in line


@pytest.mark.parametrize('name', pretrained_models.names())
def test_what_ships_is_small_and_described(name):
  folder = pathlib.Path(pretrained_models.FOLDER, name)
  assert {path.name for path in folder.iterdir()} == {
    'README.md',
    'config.gin',
    'model.safetensors',
  }
  assert (folder / 'model.safetensors').stat().st_size <= 4_000_000
  card = (folder / 'README.md').read_text()
  assert re.match(rf'# {name}: .*\d bits per', card)
  assert '=/' not in (folder / 'config.gin').read_text()  # A path here.
  reading.configure(config_file=str(folder / 'config.gin'))
  bindings.check_model(str(folder / 'model.safetensors'))


@pytest.mark.slow
@pytest.mark.parametrize('name', pretrained_models.names())
def test_what_ships_has_the_score_on_its_card(name):
  card = pathlib.Path(pretrained_models.FOLDER, name, 'README.md').read_text()
  stated = re.search(r'`(\d\.\d+) \+- \d\.\d+ bits per', card)[1]
  score = commands.evaluate(pretrained=name)
  assert float(str(score).split()[0]) == pytest.approx(float(stated), abs=1e-3)


@pytest.mark.slow
def test_fine_tuning_is_measured(toy, monkeypatch, capsys):
  path = pathlib.Path(__file__).parents[1] / 'docs/measurements/fine_tuning.py'
  script = runpy.run_path(path)
  for name, value in (('NAME', toy), ('N_BYTES', 1000)):
    monkeypatch.setitem(script['main'].__globals__, name, value)
  monkeypatch.setattr(sys, 'argv', [path.name, '10'])
  script['main']()
  out = capsys.readouterr().out
  for name in ('as it ships', 'tuned', 'new'):
    assert re.search(rf'^{name}: \d\.\d+ .* bits per byte', out, re.MULTILINE)
