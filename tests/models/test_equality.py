"""Our models and `trax.models` give equal outputs for equal weights."""

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
from tests.models import cases
import trax_hourglass

REFERENCE = pathlib.Path(__file__).parent.parent / 'reference'
# The lsh_* cases are in test_attention_types.py.
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

  assert_equals_reference(forward, flat_weights, case)


def assert_equals_reference(forward, flat_weights, case):
  """Compares logits, loss and gradients with those of the authors' code.

  Args:
    forward: Function from flat weights and tokens to logits.
    flat_weights: The case's weights.
    case: Its arrays, by name.
  """
  tokens = case['tokens']

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


@pytest.mark.parametrize('name', cases.CASES)
def test_beside_trax(name):
  length = cases.CASES[name][1]
  theirs = cases.build(
    trax.models.HourglassLM, length, **cases.arguments(name, trax_resampling)
  )
  ours = cases.ours(name)
  assert ours.shapes == theirs.shapes
  weights = ours.random_weights()
  tokens = cases.changed_tokens(length)
  logits = ours.each(weights, tokens)
  np.testing.assert_allclose(
    logits, theirs.each(weights, tokens), atol=1e-4, rtol=0
  )
  assert np.std(logits) > 0.1


def test_takes_the_attention_and_resamplers_of_trax():
  """Our model takes the calls that other code makes of Trax's model."""
  with_theirs = trax_hourglass.HourglassLM(
    **cases.WIDTHS,
    hierarchy='0@3',
    vanilla_layers=(1, 0),
    vanilla_attn_type=rel_attention.RelativeAttentionWrapper,
    middle_attn_type=rel_attention.RelativeAttentionWrapper,
    downsampling_fn=trax_resampling.AttentionResampling,
    attention_downsampling_fn=trax_resampling.LinearPooling,
    upsampling_fn=trax_resampling.NaiveUpsampling,
    mode='eval',
  )
  ours = trax_hourglass.HourglassLM(
    **cases.WIDTHS,
    hierarchy='0@3',
    vanilla_layers=(1, 0),
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


@pytest.mark.parametrize(
  'arguments',
  [
    pytest.param({'hierarchy': '0@1 0@3 0@1', 'rematerialize': True}, id='rem'),
    pytest.param({'hierarchy': '0@1 0@{3,2} 0@1'}, id='drawn'),
  ],
)
def test_takes_resamplers_that_return_several_layers(arguments):
  """As in Trax's model: also where ours needs a single layer."""
  theirs, ours = (
    trax_tools.Jitted(
      trax_hourglass.HourglassLM(
        **cases.WIDTHS,
        downsampling_fn=resampler,
        upsampling_fn=resampler,
        attention_upsampling_fn=trax_hourglass.NaiveUpsampling,
        mode='eval',
        **arguments,
      ),
      trax_tools.tokens_signature(6),
    )
    for resampler in (
      trax_resampling.AttentionResampling,
      trax_hourglass.AttentionResampling,
    )
  )
  assert theirs.shapes == ours.shapes
  weights = ours.random_weights()
  tokens = np.arange(6, dtype=np.int32)[None]
  np.testing.assert_allclose(
    theirs(weights, tokens), ours(weights, tokens), atol=1e-4, rtol=0
  )


def test_reads_the_checkpoint_of_trax(tmp_path):
  """A checkpoint that Trax's model and Trax's Loop wrote."""

  def model(lm, mode):
    return lm(**cases.WIDTHS, hierarchy='0@3', vanilla_layers=(0, 0), mode=mode)

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
  logits, expected = (
    jax.jit(model.pure_fn)(tokens, weights, model.state, model.rng)[0]
    for model, weights in (
      (ours, ours.weights),
      (loop.eval_model, loop.model.weights),
    )
  )
  np.testing.assert_allclose(logits, expected, atol=1e-4, rtol=0)
  assert np.std(expected) > 0.1
