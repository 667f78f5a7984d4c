"""The authors' gin files run as they are, on Trax's model and on ours.

The files here are of the same form, see `authors_files`.
"""

import functools
import gzip
import pickle

import gin
import jax
import numpy as np
from PIL import Image
import pytest
import requests
import tensorflow_datasets as tfds
from trax import shapes, trainer

from tests.commands import fails, run_of
from tests.configuration import authors_files
from trax_hourglass import evaluate, generate, memory, plot_schedule
from trax_hourglass.configuration import bindings, command_line, reading, values
from trax_hourglass.lab.benchmarks import device_memory
from trax_hourglass.training.checkpoints import format

FORMS = authors_files.FORMS
OURS = '--model=trax_hourglass.HourglassLM'
MODELS = {'trax': (), 'ours': (OURS,)}
TEXTS = ('enwik8', 'wiki40b')

every_form = pytest.mark.parametrize('name', FORMS)
every_model = pytest.mark.parametrize('model', MODELS)
# A text and images take different ways through the commands; the rest is slow.
forms_to_train = pytest.mark.parametrize(
  'name',
  [
    name if name == 'enwik8' else pytest.param(name, marks=pytest.mark.slow)
    for name in FORMS
  ],
)


@pytest.fixture(autouse=True)
def cleared():
  yield
  gin.clear_config()


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  """Files: a text, and a folder of images of 36 bytes."""
  root = tmp_path_factory.mktemp('data')
  rng = np.random.default_rng(0)
  (root / 'text').write_bytes(rng.bytes(900))
  for split in ('train', 'validation'):
    folder = root / 'images' / split
    folder.mkdir(parents=True)
    for i, image in enumerate(
      rng.integers(256, size=(3, 3, 4, 3), dtype=np.uint8)
    ):
      Image.fromarray(image).save(folder / f'{i}.png')
  for name, form in FORMS.items():
    (root / f'{name}.gin').write_text(form)
  return root


def flags(data, name, model='trax', *config, has_data=True):
  """Returns the flags that run a form at toy size, as a user gives them."""
  if has_data and name in TEXTS:
    dataset = '--dataset=trax_hourglass.text_file'
    config = (f"trax_hourglass.text_file.path = '{data}/text'", *config)
  elif has_data:
    dataset = '--dataset=trax_hourglass.image_folder'
    config = (f"trax_hourglass.image_folder.path = '{data}/images'", *config)
  toy = (*authors_files.TOY, *authors_files.TOY_OF[name], *config)
  return [
    f'--config_file={data}/{name}.gin',
    *(f'--config={binding}' for binding in toy),
    *([dataset] if has_data else []),
    *MODELS[model],
  ]


def configured(*argv):
  command_line.start(['train', *argv])
  reading.configure(**command_line.configuration())


@every_form
def test_a_written_configuration_reads_the_same_and_weights_fit(data, name):
  found = []
  for model in MODELS:
    configured(*flags(data, name, model))
    layer = bindings.model('eval')
    signature = shapes.ShapeDtype((2, 36), np.int32)
    weights, _ = layer.weights_and_state_signature(signature)
    found.append([leaf.shape for leaf in jax.tree.leaves(weights)])
    written = gin.config_str()
    gin.clear_config()
    gin.parse_config(written)
    assert gin.config_str() == written
    bindings.model('eval')
  assert len(found[0]) > 20
  assert found[0] == found[1]


@every_form
@every_model
def test_draws_the_schedule(data, name, model, tmp_path, capsys):
  form = flags(data, name, model, has_data=False)
  picture = tmp_path / 'schedule.png'
  plot_schedule.main(['plot_schedule', *form, f'--output={picture}'])
  peaks = {
    'enwik8': '4.100e-04 at step 4,000',
    'imagenet32': '4.942e-04 at step 8,000',
    'imagenet64': '3.494e-04 at step 8,000',
    'cifar10': '1.000e-03 at step 5,000',
    'wiki40b': '1.000e-03 at step 10,000',
  }
  assert peaks[name] in capsys.readouterr().out


@every_model
def test_states_the_memory_of_the_files_batches(
  data, model, monkeypatch, capsys
):
  monkeypatch.setattr(device_memory, 'simulate', lambda n: None)
  monkeypatch.setattr(
    device_memory, 'measure', lambda model, optimizer, *sizes: sizes
  )
  monkeypatch.setattr(device_memory, 'table', lambda sizes, n: f'{sizes}')
  titles = {
    'enwik8': '2 sequences of 36 tokens',
    'imagenet32': '1 sequences of 3,072 tokens',
    'imagenet64': '1 sequences of 12,288 tokens',
    'cifar10': '1 sequences of 3,072 tokens',
    'wiki40b': '2 sequences of 36 tokens',
  }
  for name, title in titles.items():
    memory.main(['memory', *flags(data, name, model, has_data=False)])
    assert title in capsys.readouterr().out


@pytest.fixture(scope='module')
def runs(data, tmp_path_factory):
  """Returns a function to a folder with both models' runs, and their losses.

  Both start from the same weights, and see the same data.
  """

  @functools.cache
  def run(name):
    root = tmp_path_factory.mktemp(name)
    start = _write_start(data, name, root / 'start.pkl.gz')
    losses = [
      _train(data, name, model, f'--init_checkpoint={start}', root / model)
      for model in MODELS
    ]
    return root, losses

  return run


def _train(data, name, model, init_checkpoint, directory):
  """Returns the losses of two steps."""
  config = (
    "multifactor.factors = 'constant'",
    'multifactor.constant = 0.01',
    'train.steps = 2',
    'train.eval_frequency = 1',
    'train.random_seed = 1',
  )
  argv = [*flags(data, name, model, *config), init_checkpoint]
  loop = run_of(['train', *argv, f'--output_dir={directory}']).loop
  return [loss for _, loss in loop.history.get('train', 'training/loss')]


def _write_start(data, name, path):
  """Writes a checkpoint of random weights, as Trax writes it."""
  configured(*flags(data, name, 'ours'))
  signature = shapes.ShapeDtype((2, 36), np.int32)
  weights, _ = bindings.model('eval').weights_and_state_signature(signature)
  rng = np.random.default_rng(0)
  content = {
    'step': 0,
    'input_signature': signature,
    'flat_state': [],
    'flat_weights': [
      rng.normal(scale=0.3, size=leaf.shape).astype(np.float32)
      for leaf in jax.tree.leaves(weights)
    ],
  }
  path.write_bytes(gzip.compress(pickle.dumps(content)))
  return path


@forms_to_train
def test_both_models_train_alike(runs, name):
  _, (theirs, ours) = runs(name)
  assert len(theirs) == 2
  assert abs(theirs[0] - np.log(256)) > 0.01  # Not the loss of a uniform guess.
  np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@forms_to_train
@every_model
def test_a_saved_configuration_resumes_without_flags(runs, name, model):
  directory = runs(name)[0] / model
  argv = [f'--config_file={directory}/config.gin', '--config=train.steps = 3']
  loop = run_of(['train', *argv, f'--output_dir={directory}']).loop
  assert [step for step, _ in loop.history.get('train', 'training/loss')] == [
    1,
    2,
    3,
  ]
  package = {'trax': '@trax.models.', 'ours': '@trax_hourglass.'}[model]
  assert str(values.bound('train.model')) == f'{package}HourglassLM'


@forms_to_train
def test_evaluates_with_either_model(runs, name, capsys):
  def scored(*argv):
    evaluate.main(['evaluate', *argv])
    return capsys.readouterr().out

  root, _ = runs(name)
  capsys.readouterr()
  theirs = scored(f'--output_dir={root}/trax')
  ours = scored(f'--output_dir={root}/trax', OURS)
  assert theirs.split()[1:] == ours.split()[1:]
  bits = [float(line.split()[0]) for line in (theirs, ours)]
  assert bits[0] == pytest.approx(bits[1], abs=1.1e-4)


@forms_to_train
def test_generates_with_our_model(runs, name, capsysbinary, tmp_path):
  root, _ = runs(name)
  argv = ['generate', f'--checkpoint={root}/trax', '--temperature=0']
  if name in TEXTS:
    argv.append('--length=5')
  else:
    argv += ['--images=1', '--completions=1', f'--output_dir={tmp_path}']
  with pytest.raises(SystemExit):
    generate.main(argv)
  advice = b'give --model=trax_hourglass.HourglassLM'
  assert advice in capsysbinary.readouterr().err
  generate.main([*argv, OURS])
  out = capsysbinary.readouterr().out
  assert len(out) == 5 if name in TEXTS else b'image 1: ' in out


# Words of the error for each data set that is gone or not prepared.
MISSING = {
  'enwik8': (
    't2t_enwik8_l2k: got a data set of Tensor2Tensor',
    '--dataset=trax_hourglass.enwik8, which',
  ),
  'imagenet32': (
    'downsampled_imagenet/32x32: got nothing in',
    '--dataset=trax_hourglass.imagenet32, which',
  ),
  'imagenet64': (
    'downsampled_imagenet/64x64: got nothing in',
    '--dataset=trax_hourglass.imagenet64, which',
  ),
  'cifar10': ('cifar10: got nothing in', 'run `tfds build cifar10` where'),
  'wiki40b': ('wiki40b/en: got nothing in', 'run `tfds build wiki40b/en` wh'),
}


@pytest.fixture
def offline(monkeypatch):
  """Records requests to hosts, none of which answers; no set is prepared."""
  asked = []

  def head(url, timeout):
    asked.append(url)
    raise requests.ConnectionError

  monkeypatch.setattr(requests, 'head', head)
  monkeypatch.setattr(tfds.core.DatasetBuilder, 'is_prepared', lambda _: False)
  return asked


@every_form
@every_model
def test_missing_data_is_reported_in_one_line(
  data, name, model, offline, capsys, tmp_path
):
  argv = flags(data, name, model, has_data=False)
  line = fails(capsys, ['train', *argv, f'--output_dir={tmp_path}/run'])
  for words in MISSING[name]:
    assert words in line
  # No host is asked for a data set that is gone for good.
  assert bool(offline) == (name in ('cifar10', 'wiki40b'))


@pytest.mark.slow
def test_the_trainer_of_trax_runs_their_files(data, tmp_path, capsys):
  """Its `config.gin` is written, goes on there, and is scored here."""
  config = (
    'train.inputs = @trax_hourglass.text_inputs',
    'trax_hourglass.text_inputs.text = @trax_hourglass.text_file()',
    f"trax_hourglass.text_file.path = '{data}/text'",
    'trax_hourglass.text_inputs.length = 36',
    'trax_hourglass.text_inputs.batch_size = 2',
    'train.eval_frequency = 1',
    'train.checkpoints_at = [1, 2]',
  )
  argv = flags(data, 'enwik8', 'trax', *config, has_data=False)
  output_dir = f'--output_dir={tmp_path}'
  saved = [f'--config_file={tmp_path}/config.gin', '--config=train.steps = 2']
  for more in ([*argv, '--config=train.steps = 1'], saved):
    gin.clear_config()
    trainer.FLAGS.unparse_flags()
    trainer.FLAGS(['trainer', output_dir, *more])
    trainer.main(None)
  assert format.read_step(f'{tmp_path}/model.pkl.gz') == 2
  text = 'trax_hourglass.evaluate.text = @trax_hourglass.text_file()'
  scores = []
  for model in ((), (OURS,)):
    capsys.readouterr()
    evaluate.main(
      [
        'evaluate',
        output_dir,
        f'--config={text}',
        '--config=trax_hourglass.evaluate.length = 36',
        *model,
      ]
    )
    scores.append(capsys.readouterr().out)
  assert scores[0] == scores[1]
