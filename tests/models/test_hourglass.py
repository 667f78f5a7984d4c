"""Tests of the models as a whole."""

import functools

import jax
import numpy as np
import pytest
from trax import fastmath
from trax import layers as tl
from trax.layers.research import resampling

from tests import trax_tools
import trax_hourglass as th
from trax_hourglass.errors import UserError

WIDTHS = {'d_model': 6, 'd_ff': 7, 'n_heads': 3}


@pytest.fixture(scope='module')
def model():
  """An initialised language model, in train mode, its weights perturbed."""
  layer = th.HourglassLM(
    5, **WIDTHS, hierarchy='1@1 1@2 1@4 1@2 1@1', dropout=0.0, mode='train'
  )
  layer.rng = fastmath.random.get_prng(0)
  layer.init(trax_tools.tokens_signature(8, batch=2))
  # Norms and biases start as ones and zeros, which would hide mistakes.
  rng = np.random.default_rng(1)
  flat, _ = tl.flatten_weights_and_state(layer.weights, layer.state)
  layer.weights, _ = fastmath.tree_unflatten(
    [w + rng.normal(scale=0.1, size=w.shape).astype(w.dtype) for w in flat],
    layer.weights,
    copy_from_tree=[(), tl.base.GET_WEIGHTS_FROM_CACHE],
  )
  return layer


def test_every_weight_has_a_finite_gradient(model):
  tokens = np.random.default_rng(0).integers(5, size=(2, 7), dtype=np.int32)

  def loss(weights):
    logits, _ = model.pure_fn(tokens, weights, model.state, model.rng)
    return trax_tools.cross_entropy(logits, tokens, np.ones((2, 7)))

  gradient = jax.jit(jax.grad(loss))(model.weights)
  flat, _ = tl.flatten_weights_and_state(gradient, model.state)
  norms = np.array([np.linalg.norm(g) for g in flat])
  assert np.isfinite(norms).all()
  # Softmax ignores what all keys share: the biases of the key and position
  # Dense have a gradient of zero, up to rounding.
  unseen = _key_and_position_biases([g.shape for g in flat])
  assert len(unseen) == 2 * (5 + 2 * 2)  # Blocks and resamplers.
  assert norms[unseen].max() < 1e-5 * np.linalg.norm(norms)
  seen = np.delete(norms, unseen)
  assert (seen > 1e-7 * np.linalg.norm(norms)).all()


def _key_and_position_biases(shapes):
  """Returns the indices of position, query, key and value Dense in a row."""
  indices, i = [], 0
  while i < len(shapes):
    if shapes[i : i + 8] == [(6, 6), (6,)] * 4:
      indices += [i + 1, i + 5]
      i += 8
    else:
      i += 1
  return indices


@pytest.fixture(scope='module')
def apply(model):
  """The model as a jitted function of tokens."""
  jitted = jax.jit(
    lambda x: model.pure_fn(x, model.weights, model.state, model.rng)[0]
  )
  return functools.cache(lambda *tokens: jitted(np.array([tokens], np.int32)))


TOKENS = (3, 1, 4, 1, 0, 2, 2, 3, 0, 1, 4, 2)


def test_train_without_dropout_is_eval(model, apply):
  evaluated = trax_tools.Jitted(
    th.HourglassLM(
      5, **WIDTHS, hierarchy='1@1 1@2 1@4 1@2 1@1', dropout=0.3, mode='eval'
    ),
    trax_tools.tokens_signature(12),
  )
  flat, _ = tl.flatten_weights_and_state(model.weights, model.state)
  np.testing.assert_allclose(
    apply(*TOKENS), evaluated(flat, np.array([TOKENS], np.int32)), atol=1e-5
  )


@pytest.mark.parametrize('length', [1, 6, 11])
def test_outputs_are_the_first_of_a_longer_sequence(apply, length):
  logits = apply(*TOKENS[:length])
  assert logits.shape == (1, length, 5)
  np.testing.assert_allclose(logits, apply(*TOKENS)[:, :length], atol=1e-5)


def test_no_tokens_have_no_logits():
  model = th.HourglassLM(5, 4, 4, hierarchy='1@1 1@3 1@1', n_heads=2)
  signature = model.weights_and_state_signature(trax_tools.tokens_signature(0))
  logits, _ = jax.eval_shape(
    model.pure_fn,
    np.zeros((1, 0), np.int32),
    *signature,
    jax.random.PRNGKey(0),
  )
  assert logits.shape == (1, 0, 5)


def test_dropout_acts_in_training():
  layer = th.HourglassLM(
    5, **WIDTHS, hierarchy='0@1 0@3 0@1', dropout=0.5, mode='train'
  )
  layer.init(trax_tools.tokens_signature(6))
  tokens = np.zeros((1, 6), np.int32)
  apply = jax.jit(layer.pure_fn)
  first, second, again = (
    apply(tokens, layer.weights, layer.state, jax.random.PRNGKey(seed))[0]
    for seed in (0, 1, 0)
  )
  assert np.abs(first - second).max() > 0.01
  np.testing.assert_array_equal(first, again)


def test_hourglass_takes_activations_inside_a_serial():
  layer = tl.Serial(
    tl.Dense(6),
    th.Hourglass(**WIDTHS, hierarchy='1@3', mode='eval'),
    tl.Dense(2),
  )
  forward = trax_tools.Jitted(layer, trax_tools.activations_signature(7, 4))
  x = np.ones((1, 7, 4), np.float32)
  assert forward(forward.random_weights(), x).shape == (1, 7, 2)


@pytest.mark.parametrize('mode', ['eval', 'predict'])
@pytest.mark.parametrize('shape', [(2, 6), (2, 4, 1), (2, 4, 7), (1, 2, 4, 6)])
def test_other_shapes_than_those_of_activations_are_refused(mode, shape):
  """In an error that leaves no tracers in the layer."""
  layer = th.Hourglass(**WIDTHS, hierarchy='0@1', mode=mode)
  layer.init(trax_tools.activations_signature(4, 6))
  before = jax.tree.leaves((layer.weights, layer.state))
  with pytest.raises(
    tl.base.LayerError, match=r'expected \(batch, length, 6\)'
  ):
    jax.eval_shape(
      layer.pure_fn, np.zeros(shape), layer.weights, layer.state, layer.rng
    )
  after = jax.tree.leaves((layer.weights, layer.state))
  assert all(x is y for x, y in zip(before, after, strict=True))


def test_the_baseline_is_a_stack_of_blocks():
  """'12@1' has the weights of twelve blocks, one norm, and no resampling."""
  weights = [
    len(
      trax_tools.Jitted(
        th.HourglassLM(5, **WIDTHS, hierarchy=hierarchy, mode='eval'),
        trax_tools.tokens_signature(4),
      ).shapes
    )
    for hierarchy in ('1@1', '3@1')
  ]
  per_block = (weights[1] - weights[0]) / 2
  # Two norms, five Dense of attention, two of the feed-forward.
  assert per_block == 2 * 2 + 5 * 2 + 2 * 2
  # The embedding, u and v, the last norm, the logits.
  assert weights[0] - per_block == 1 + 2 + 2 + 2


def test_prints_the_words_of_the_architecture():
  text = str(th.HourglassLM(5, hierarchy='2@1 4@3 2@1'))
  for word in (
    'HourglassLM',
    'Hourglass',
    'Blocks_2@1',
    'Blocks_4@3',
    'AttentionShortening',
    'AttentionUpsampling',
    'RelativeAttention',
  ):
    assert word in text


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'d_model': 10, 'n_heads': 4}, 'd_model 10: expected an even number'),
    ({'hierarchy': '2@2 4@3 2@2'}, '3 is not a multiple of the 2'),
    ({'mode': 'test'}, "mode: got 'test'"),
    ({'dropout': -0.1}, 'dropout: got -0.1'),
    ({'vocab_size': 0}, 'vocab_size: got 0'),
    ({'d_model': 0}, 'd_model: got 0'),
    ({'d_model': '8'}, "d_model: got '8'"),
    ({'d_ff': 1.5}, 'd_ff: got 1.5'),
    ({'dropout': 'a'}, "dropout: got 'a'"),
    (
      {'mode': 'predict', 'downsampling_fn': resampling.AttentionResampling},
      "Trax's AttentionResampling, which keeps no cache",
    ),
    (
      {'downsampling_fn': functools.partial(th.NaiveUpsampling)},
      'downsampling_fn: got NaiveUpsampling, expected a resampler that '
      'shortens',
    ),
    (
      {'attention_downsampling_fn': th.AttentionResampling},
      'attention_downsampling_fn: got AttentionResampling, expected the '
      'resampler that makes',
    ),
    (
      {'attention_upsampling_fn': resampling.AttentionResampling},
      'attention_upsampling_fn: got AttentionResampling, expected the '
      'resampler that makes',
    ),
  ],
)
def test_names_what_is_wrong(arguments, message):
  with pytest.raises(UserError, match=message):
    th.HourglassLM(**({'vocab_size': 5} | arguments))
