"""Equal outputs from equal weights: ours and those of `trax.models`."""

import json
import pathlib

import jax
import numpy as np
import pytest
import trax
from trax import layers as tl
from trax.layers.research import rel_attention
from trax.layers.research import resampling as trax_resampling
from trax.supervised import training

from tests import trax_tools
import trax_hourglass

REFERENCE = pathlib.Path(__file__).parent.parent / 'reference'
# The lsh_* cases wait for LSH attention.
CASES = sorted(
  path.stem for path in REFERENCE.glob('*.npz') if 'lsh' not in path.stem
)


def test_all_cases_are_there():
  assert len(CASES) == 8


@pytest.mark.parametrize('name', CASES)
def test_reference(name):
  case = np.load(REFERENCE / f'{name}.npz')
  config = {
    key: _layer_fn(value) if isinstance(value, str) else value
    for key, value in json.loads(str(case['config'])).items()
  }
  model = trax_hourglass.HourglassLM(**config, mode='eval')
  tokens = case['tokens']
  flat_weights = [case[f] for f in case.files if f.startswith('weights_')]
  forward = trax_tools.Jitted(
    model, trax_tools.tokens_signature(*reversed(tokens.shape))
  )
  assert [w.shape for w in flat_weights] == forward.shapes

  def loss(flat_weights):
    logits = forward(flat_weights, tokens)
    weighted = trax_tools.cross_entropy(logits, tokens, case['loss_weights'])
    return weighted, logits

  (value, logits), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(
    flat_weights
  )
  np.testing.assert_allclose(logits, case['logits'], atol=1e-4, rtol=0)
  np.testing.assert_allclose(value, case['loss'], atol=1e-5, rtol=0)
  leaf_norms = np.array([np.linalg.norm(g) for g in gradient])
  global_norm = case['grad_norm']
  np.testing.assert_allclose(
    leaf_norms, case['grad_leaf_norms'], atol=1e-3 * global_norm, rtol=0
  )


def _layer_fn(name):
  if '@' in name:
    return name
  return getattr(trax_hourglass, name, None) or getattr(tl, name)


# name -> (arguments, length). Resamplers are named as both packages name them.
LIVE = {
  'default': ({'hierarchy': '1@3'}, 12),
  'two_levels': ({'hierarchy': '1@2 1@6 1@2', 'vanilla_layers': (1, 0)}, 12),
  'three_levels': (
    {'hierarchy': '0@2 1@4 1@8 1@4 0@2', 'upsampling_fn': 'NaiveUpsampling'},
    16,
  ),
  'pre_only': ({'vanilla_layers': (2, 0), 'hierarchy': '1@5'}, 10),
  'post_only': ({'vanilla_layers': (0, 2), 'hierarchy': '0@2'}, 10),
  'no_vanilla': ({'vanilla_layers': (0, 0), 'hierarchy': '2@3'}, 12),
  'average_linear': (
    {
      'downsampling_fn': 'AveragePooling',
      'upsampling_fn': 'LinearUpsampling',
      'ff_activation': tl.Relu,
      'hierarchy': '1@4',
    },
    12,
  ),
  'linear_none': (
    {
      'hierarchy': '1@3',
      'downsampling_fn': 'LinearPooling',
      'upsampling_fn': 'NoUpsampling',
    },
    12,
  ),
  'attention_u_x': (
    {'hierarchy': '1@2', 'attention_upsampling_fn': 'NoUpsampling'},
    12,
  ),
  'attention_u_repeat': (
    {
      'attention_upsampling_fn': 'NaiveUpsampling',
      'attention_downsampling_fn': 'LinearPooling',
      'ff_activation': tl.Gelu,
      'hierarchy': '1@3',
    },
    12,
  ),
  'mixed_two_levels': (
    {
      'hierarchy': '0@3 1@6 0@3',
      'downsampling_fn': 'LinearPooling',
      'ff_activation': tl.Swish,
    },
    18,
  ),
}
WIDTHS = {'vocab_size': 13, 'd_model': 12, 'd_ff': 14, 'n_heads': 3}


@pytest.mark.parametrize('name', LIVE)
def test_beside_trax(name):
  config, length = LIVE[name]
  ours, theirs = (
    trax_tools.Jitted(
      lm(**WIDTHS, **_named_in(package, config), dropout=0.1, mode='eval'),
      trax_tools.tokens_signature(length, batch=2),
    )
    for lm, package in (
      (trax_hourglass.HourglassLM, trax_hourglass),
      (trax.models.HourglassLM, trax_resampling),
    )
  )
  assert ours.shapes == theirs.shapes
  weights = ours.random_weights()
  tokens = np.random.default_rng(1).integers(13, size=(2, length), dtype='i4')
  logits = ours(weights, tokens)
  np.testing.assert_allclose(logits, theirs(weights, tokens), atol=1e-4, rtol=0)
  assert np.std(logits) > 0.1


def _named_in(package, config):
  return {
    key: getattr(package, value) if key.endswith('sampling_fn') else value
    for key, value in config.items()
  }


def test_takes_the_attention_and_resamplers_of_trax():
  """What other code wrote for Trax's model fits ours."""
  with_theirs = trax_hourglass.HourglassLM(
    **WIDTHS,
    vanilla_attn_type=rel_attention.RelativeAttentionWrapper,
    middle_attn_type=rel_attention.RelativeAttentionWrapper,
    downsampling_fn=trax_resampling.AttentionResampling,
    attention_downsampling_fn=trax_resampling.LinearPooling,
    upsampling_fn=trax_resampling.NaiveUpsampling,
    mode='eval',
  )
  ours = trax_hourglass.HourglassLM(
    **WIDTHS,
    attention_downsampling_fn=trax_hourglass.LinearPooling,
    upsampling_fn=trax_hourglass.NaiveUpsampling,
    mode='eval',
  )
  signature = trax_tools.tokens_signature(6)
  with_theirs = trax_tools.Jitted(with_theirs, signature)
  ours = trax_tools.Jitted(ours, signature)
  assert with_theirs.shapes == ours.shapes
  weights = ours.random_weights()
  tokens = np.arange(6, dtype=np.int32)[None]
  np.testing.assert_allclose(
    with_theirs(weights, tokens), ours(weights, tokens), atol=1e-4, rtol=0
  )


def test_reads_the_checkpoint_of_trax(tmp_path):
  """One that Trax's model and Trax's Loop wrote."""

  def model(lm, mode):
    return lm(**WIDTHS, hierarchy='1@3', vanilla_layers=(1, 0), mode=mode)

  tokens = np.random.default_rng(2).integers(13, size=(2, 6), dtype='i4')
  batch = tokens, tokens, np.ones(tokens.shape, np.float32)
  theirs = model(trax.models.HourglassLM, 'train')
  loop = training.Loop(
    theirs,
    training.TrainTask(
      iter(lambda: batch, None),
      tl.WeightedCategoryCrossEntropy(),
      trax.optimizers.Adam(0.01),
      n_steps_per_checkpoint=1,
    ),
    eval_model=model(trax.models.HourglassLM, 'eval'),
    output_dir=str(tmp_path),
  )
  loop.run(1)
  ours = model(trax_hourglass.HourglassLM, 'eval')
  ours.init_from_file(
    str(tmp_path / 'model.pkl.gz'),
    weights_only=True,
    input_signature=trax_tools.tokens_signature(6, batch=2),
  )
  loop.eval_model.weights = loop.model.weights
  logits, expected = ours(tokens), loop.eval_model(tokens)
  np.testing.assert_allclose(logits, expected, atol=1e-4, rtol=0)
  assert np.std(expected) > 0.1
