"""Shorten factor dropout: every draw is the plain model of its factor."""

import collections

import jax
import numpy as np
import pytest
from trax import layers as tl
from trax import shapes

from tests import trax_tools
import trax_hourglass as th
from trax_hourglass.errors import UserError
from trax_hourglass.layers.shorten_factor_dropout import ShortenFactorDropout

WIDTHS = {'vocab_size': 13, 'd_model': 6, 'd_ff': 7, 'n_heads': 3}
LENGTH = 11

# name -> (hierarchy with a place for the factors, the factors, resamplers)
POOLING = {
  'downsampling_fn': th.AveragePooling,
  'upsampling_fn': th.NaiveUpsampling,
}
ATTENTION = {'attention_upsampling_fn': th.NaiveUpsampling}
MODELS = {
  'attention': ('0@1 1@{} 1@1', (2, 3), ATTENTION),
  'pooling_two_levels': ('1@1 0@2 1@{} 0@2 0@1', (4, 6, 10), POOLING),
}


def _model(hierarchy, mode, **arguments):
  return th.HourglassLM(
    **WIDTHS, hierarchy=hierarchy, mode=mode, dropout=0.0, **arguments
  )


@pytest.fixture(scope='module', params=MODELS)
def case(request):
  """The factors, a drawing model, and what it says of tokens in each step."""
  hierarchy, factors, resamplers = MODELS[request.param]
  choices = '{' + ','.join(map(str, factors)) + '}'
  model = _model(hierarchy.format(choices), 'train', **resamplers)
  signature = trax_tools.tokens_signature(LENGTH)
  model.rng = jax.random.PRNGKey(0)
  model.init(signature)
  weights, _ = tl.flatten_weights_and_state(model.weights, model.state)
  tokens = np.arange(LENGTH, dtype=np.int32)[None] % WIDTHS['vocab_size']
  plain = [
    trax_tools.Jitted(
      _model(hierarchy.format(factor), 'eval', **resamplers), signature
    )(weights, tokens)
    for factor in factors
  ]
  return factors, model, tokens, plain


def test_each_step_is_the_plain_model_of_one_factor(case):
  factors, model, tokens, plain = case
  assert min(np.abs(x - y).max() for x in plain for y in plain if x is not y)
  step = jax.jit(
    lambda state, rng: model.pure_fn(tokens, model.weights, state, rng)
  )
  state, drawn = model.state, collections.Counter()
  for i in range(30):
    logits, state = step(state, jax.random.PRNGKey(i))
    (factor,) = (
      factor
      for factor, expected in zip(factors, plain, strict=True)
      if np.allclose(logits, expected, atol=1e-5)
    )
    drawn[factor] += 1
  assert set(drawn) == set(factors)
  assert step._cache_size() == 1


def test_the_draw_follows_from_the_state_alone(case):
  _, model, tokens, _ = case
  first, second = (
    model.pure_fn(tokens, model.weights, model.state, jax.random.PRNGKey(i))[0]
    for i in (1, 2)
  )
  np.testing.assert_array_equal(first, second)


def test_gradients_reach_every_weight(case):
  _, model, tokens, _ = case

  def loss(weights, state):
    logits, state = model.pure_fn(tokens, weights, state, model.rng)
    return trax_tools.cross_entropy(
      logits, tokens, np.ones(tokens.shape)
    ), state

  gradient, _ = jax.jit(jax.grad(loss, has_aux=True))(
    model.weights, model.state
  )
  norms = [float(np.linalg.norm(g)) for g in jax.tree.leaves(gradient)]
  assert np.isfinite(norms).all()
  # Zero but for rounding: what shifts all logits of a softmax alike.
  assert np.mean(np.array(norms) > 1e-6) > 0.8


def test_evaluation_takes_the_first_factor():
  hierarchy, _, resamplers = MODELS['attention']
  signature = trax_tools.tokens_signature(LENGTH)
  drawing, plain = (
    trax_tools.Jitted(_model(text, 'eval', **resamplers), signature)
    for text in (
      hierarchy.format('{3,2}'),
      hierarchy.format('3'),
    )
  )
  weights = plain.random_weights()
  tokens = np.arange(LENGTH, dtype=np.int32)[None]
  np.testing.assert_array_equal(
    drawing(weights, tokens), plain(weights, tokens)
  )


def test_draws_are_uniform():
  def add(i):
    return tl.Fn(f'Add{i}', lambda x: x + i)

  layer = ShortenFactorDropout([add(i) for i in range(5)])
  x = np.zeros(1, np.float32)
  layer.init(shapes.signature(x))

  def step(state, _):
    y, state = layer.pure_fn(x, layer.weights, state, layer.rng)
    return state, y

  _, drawn = jax.lax.scan(step, layer.state, length=2000)
  counts = np.bincount(np.asarray(drawn[:, 0], int), minlength=5)
  assert len(counts) == 5
  assert np.abs(counts - 400).max() < 5 * np.sqrt(2000 * 0.2 * 0.8)


@pytest.mark.parametrize(
  'resamplers',
  [
    {},
    {'attention_downsampling_fn': th.LinearPooling, **ATTENTION},
    {**POOLING, 'downsampling_fn': th.LinearPooling},
    {**POOLING, 'upsampling_fn': th.LinearUpsampling},
  ],
)
def test_refuses_weights_that_depend_on_the_factor(resamplers):
  with pytest.raises(UserError, match='expected parameter-free pooling'):
    _model('1@1 1@{2,3} 1@1', 'train', **resamplers)
