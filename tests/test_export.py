"""Tests of `python -m trax_hourglass.export`, run in process."""

import jax
import numpy as np
import pytest
from trax import shapes

from tests.commands import arguments, fails
import trax_hourglass as th
from trax_hourglass import export, train
from trax_hourglass.configuration import bindings, gin_internals, reading
from trax_hourglass.training.checkpoints import load

LOCAL = (
  'train.steps = 1',
  "trax_hourglass.HourglassLM.hierarchy = '1@1'",
  'trax_hourglass.HourglassLM.vanilla_attn_type = %ATTENTION',
  'ATTENTION = @small/trax_hourglass.LocalAttention',
  'small/trax_hourglass.LocalAttention.window = %WINDOW',
  'WINDOW = 3',
)


@pytest.fixture(scope='module')
def run(text, tmp_path_factory):
  """A trained model's directory."""
  directory = tmp_path_factory.mktemp('run')
  train.main(arguments(text, directory, *LOCAL))
  return directory


def test_output_dir_is_enough(run, tmp_path, capsys):
  path = tmp_path / 'model.safetensors'
  path.write_text('replaced')
  capsys.readouterr()
  export.main(['export', f'--output_dir={run}', f'--file={path}'])
  out, err = capsys.readouterr()
  assert out.split()[:2] == ['file', f'{path},']
  assert [x.split()[0] for x in err.splitlines()] == [
    'checkpoint',
    'configuration',
  ]
  assert [one.name for one in tmp_path.iterdir()] == [path.name]
  loaded = th.load_safetensors(path, 'predict')
  flat = th.load_checkpoint(run)['flat_weights']
  for x, y in zip(th.named_weights(loaded).values(), flat, strict=True):
    np.testing.assert_array_equal(x, y)
  attention_type = loaded.arguments['vanilla_attn_type']
  assert attention_type.func is th.LocalAttention
  assert attention_type.keywords['window'] == 3


def test_the_loaded_model_computes_what_the_trained_one_does(run, tmp_path):
  path = tmp_path / 'model.safetensors'
  export.main(['export', f'--output_dir={run}', f'--file={path}'])
  loaded = th.load_safetensors(path)
  reading.configure(config_file=(f'{run}/config.gin',))
  configured = bindings.model('eval')
  signature = shapes.ShapeDtype((1, 11), np.int32)
  load.load_weights(configured, f'{run}/model.pkl.gz', signature)
  tokens = np.random.default_rng(1).integers(256, size=(1, 11))
  logits, expected = (
    jax.jit(model.pure_fn)(
      tokens, model.weights, model.state, jax.random.PRNGKey(0)
    )[0]
    for model in (loaded, configured)
  )
  np.testing.assert_array_equal(logits, expected)


def test_a_folder_has_the_configuration(run, tmp_path, capsys):
  folder = tmp_path / 'a' / 'model'
  export.main(['export', f'--output_dir={run}', f'--folder={folder}'])
  assert (
    f'file           {folder}/model.safetensors, ' in capsys.readouterr()[0]
  )
  assert {path.name for path in folder.iterdir()} == {
    'config.gin',
    'model.safetensors',
  }
  text = (folder / 'config.gin').read_text()
  assert text.startswith('# command: ')
  assert '# directory:' not in text
  assert 'WINDOW = 3' in text
  found = []
  for directory in (run, folder):
    reading.configure(config_file=f'{directory}/config.gin')
    found.append(repr(sorted(gin_internals.bindings().items())))
  assert found[0] == found[1]
  exported = folder / 'model.safetensors'
  bindings.check_model(str(exported))
  again = tmp_path / 'again'
  export.main(['export', f'--pretrained={folder}', f'--file={again}'])
  assert again.read_bytes() == exported.read_bytes()


def test_refuses_the_model_of_trax(run, tmp_path, capsys):
  line = fails(
    capsys,
    [
      'export',
      f'--output_dir={run}',
      f'--file={tmp_path}/x',
      '--config=train.model = @trax.models.HourglassLM',
    ],
    main=export.main,
  )
  assert 'train.model: got trax.models.HourglassLM, expected trax_hour' in line
  assert '--model=trax_hourglass.HourglassLM takes' in line
