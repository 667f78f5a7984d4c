"""Scores of checkpoints and gin files that the authors' code wrote."""

import functools

import gin
import numpy as np
from PIL import Image
import pytest
import trax
from trax import fastmath
from trax import layers as tl
from trax.supervised import training

from tests.commands import fails
import trax_hourglass
from trax_hourglass import evaluate, export
from trax_hourglass.configuration import command_line, reading

LENGTH = 18

# As the authors' files bind these, and Trax's own `config.gin`.
CONFIG = """
import trax.data
import trax.layers
import trax.models
import trax.optimizers
import trax.supervised.trainer_lib

batcher.data_streams = @data.data_streams
batcher.max_eval_length = 18
batcher.buckets = ([18], [2])
data_streams.dataset_name = 't2t_enwik8_l2k'
data_streams.input_name = 'targets'
multifactor.factors = 'constant * linear_warmup * cosine_decay'
multifactor.warmup_steps = 4000
Adam.b2 = 0.98
train.model = @trax.models.HourglassLM
train.optimizer = @trax.optimizers.Adam
train.steps = 263000

HourglassLM.vocab_size = 256
HourglassLM.d_model = 8
HourglassLM.d_ff = 10
HourglassLM.n_heads = 2
HourglassLM.dropout = 0.2
HourglassLM.ff_activation = @trax.layers.FastGelu
HourglassLM.vanilla_layers = (1, 0)
HourglassLM.hierarchy = '1@3'
"""

# What each of their three published models has of its own.
SHAPES = {
  'enwik8': 'HourglassLM.attention_upsampling_fn = @NaiveUpsampling',
  'imagenet32': 'HourglassLM.attention_downsampling_fn = @LinearPooling',
  'imagenet64': """
HourglassLM.downsampling_fn = @LinearPooling
HourglassLM.upsampling_fn = @LinearUpsampling
HourglassLM.vanilla_attn_type = @PureLSHSelfAttentionWrapper
PureLSHSelfAttentionWrapper.pure_lsh_implementation = @PureLSHSelfAttention
PureLSHSelfAttentionWrapper.rotary_position_emb = True
PureLSHSelfAttentionWrapper.bias = True
PureLSHSelfAttentionWrapper.num_weights = 2
PureLSHSelfAttentionWrapper.weights_format = 'model'
PureLSHSelfAttention.n_hashes = 2
# A single chunk: what is hashed to where makes no difference.
PureLSHSelfAttention.chunk_len = 18
PureLSHSelfAttention.n_buckets = 2
""",
}

OURS = """
import trax_hourglass
train.model = @trax_hourglass.HourglassLM
trax_hourglass.LSHAttention.chunk_len = 18
"""


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
  """Returns a function that makes an output directory of Trax, and data."""

  @functools.cache
  def make(shape):
    directory = tmp_path_factory.mktemp(shape)
    (directory / 'config.gin').write_text(CONFIG + SHAPES[shape])
    (directory / 'ours.gin').write_text(_with_our_names(CONFIG + SHAPES[shape]))
    _train(directory)
    _write_data(directory)
    return directory

  return make


def _train(directory):
  """Writes a checkpoint of Trax's model with Trax's loop."""
  command_line.start(['train', f'--config_file={directory}/config.gin'])
  reading.configure(**command_line.configuration())
  lm = gin.get_configurable('trax.models.HourglassLM')
  tokens = np.zeros((2, LENGTH), np.int32)
  batch = tokens, tokens, np.ones(tokens.shape, np.float32)
  task = training.TrainTask(
    iter(lambda: batch, None),
    tl.WeightedCategoryCrossEntropy(),
    trax.optimizers.Adam(0.01),
  )
  loop = training.Loop(
    lm(mode='train'), task, output_dir=str(directory), random_seed=0
  )
  # As drawn, all predictions are near 1 / 256.
  loop.model.weights = fastmath.nested_map(lambda w: 3 * w, loop.model.weights)
  loop.save_checkpoint('model')


def _write_data(directory):
  rng = np.random.default_rng(0)
  (directory / 'text').write_bytes(rng.bytes(41))
  for split in ('train', 'validation'):
    folder = directory / 'images' / split
    folder.mkdir(parents=True)
    images = rng.integers(256, size=(3, 3, 2, 3), dtype=np.uint8)
    for i, image in enumerate(images):
      Image.fromarray(image).save(folder / f'{i}.png')


def _with_our_names(config):
  """Returns the bindings of the model with our selectors."""
  lines = [
    'trax_hourglass.' + line.replace(' = @', ' = @trax_hourglass.')
    for line in config.splitlines()
    if line.startswith('HourglassLM.')
  ]
  text = '\n'.join(lines).replace('PureLSHSelfAttentionWrapper', 'LSHAttention')
  return OURS + text.replace('@trax_hourglass.trax.', '@trax.')


def _arguments(directory):
  if directory.name.startswith('enwik8'):
    bindings = (
      'trax_hourglass.evaluate.text = @trax_hourglass.text_file()',
      f"trax_hourglass.text_file.path = '{directory}/text'",
      f'trax_hourglass.evaluate.length = {LENGTH}',
    )
  else:
    bindings = (
      'trax_hourglass.evaluate_images.images = @trax_hourglass.image_folder()',
      f"trax_hourglass.image_folder.path = '{directory}/images'",
      'trax_hourglass.evaluate_images.batch_size = 2',
    )
  return [
    'evaluate',
    f'--init_checkpoint={directory}',
    *(f'--config={binding}' for binding in bindings),
  ]


def _score(capsys, directory, *argv):
  """Returns the bits, and the text printed after their standard error."""
  evaluate.main([*_arguments(directory), *argv])
  out, _ = capsys.readouterr()
  bits, _, _, rest = out.split(' ', 3)
  return float(bits), rest


@pytest.mark.slow
@pytest.mark.parametrize('shape', SHAPES)
def test_scores_with_their_gin_file_and_with_ours(capsys, checkpoint, shape):
  directory = checkpoint(shape)
  bits, rest = _score(capsys, directory)
  assert bits > 8.2
  of = {
    'enwik8': 'bits per byte over 3 bytes\n',
    'imagenet32': 'bits per dim over 3 images of images, validation split\n',
    'imagenet64': 'validation split (LSH attention is not strictly autoregr',
  }
  assert of[shape] in rest
  ours, our_rest = _score(
    capsys, directory, f'--config_file={directory}/ours.gin'
  )
  assert ours == pytest.approx(bits, abs=1.1e-4)  # A digit of what is printed.
  assert our_rest == rest


def test_exports_their_models(checkpoint):
  directory = checkpoint('imagenet64')
  path = directory / 'model.safetensors'
  export.main(
    [
      'export',
      f'--init_checkpoint={directory}/model.pkl.gz',
      '--model=trax_hourglass.HourglassLM',
      f'--file={path}',
    ]
  )
  loaded = trax_hourglass.load_safetensors(path)
  flat = trax_hourglass.load_checkpoint(directory)['flat_weights']
  named = trax_hourglass.named_weights(loaded)
  for x, y in zip(named.values(), flat, strict=True):
    np.testing.assert_array_equal(x, y)
  lsh = loaded.arguments['vanilla_attn_type']
  assert lsh.func is trax_hourglass.LSHAttention
  assert (lsh.keywords['chunk_len'], lsh.keywords['n_hashes']) == (18, 2)


def test_says_which_lengths_their_model_takes(capsys, checkpoint):
  binding = 'trax_hourglass.evaluate.length = 20'
  argv = [*_arguments(checkpoint('enwik8')), f'--config={binding}']
  line = fails(capsys, argv, main=evaluate.main)
  assert 'an input of shape (8, 6, 8), (8, 20, 8)' in line
  assert 'got 20 tokens, expected a multiple of 3, because of the total' in line


def test_short_names_are_ambiguous_where_our_model_is_named(capsys, checkpoint):
  """A file that imports both packages must say which one it means."""
  path = checkpoint('enwik8') / 'both.gin'
  ours = 'train.model = @trax_hourglass.HourglassLM'
  path.write_text(f'{CONFIG}{SHAPES["enwik8"]}\n{ours}\n')
  argv = [*_arguments(path.parent), f'--config_file={path}']
  line = fails(capsys, argv, main=evaluate.main)
  assert "Ambiguous selector 'HourglassLM'" in line
  assert 'trax.models.HourglassLM, trax_hourglass.HourglassLM' in line
