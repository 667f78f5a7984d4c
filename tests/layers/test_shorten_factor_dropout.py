"""Shorten factor dropout: every draw runs the plain model of its factor."""

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
  'attention': ('0@1 1@{} 0@1', (2, 3), ATTENTION),
  'pooling_two_levels': ('1@1 0@2 1@{} 0@2 0@1', (4, 6, 10), POOLING),
}


def _model(hierarchy, mode, **arguments):
  return th.HourglassLM(
    **WIDTHS, hierarchy=hierarchy, mode=mode, dropout=0.0, **arguments
  )


class Case:
  """A model with factors to draw, and the plain models with its weights."""

  def __init__(self, name):
    hierarchy, self.factors, resamplers = MODELS[name]
    choices = '{' + ','.join(map(str, self.factors)) + '}'
    signature = trax_tools.tokens_signature(LENGTH)
    self.model = _model(hierarchy.format(choices), 'train', **resamplers)
    self.model.rng = jax.random.PRNGKey(0)
    self.model.init(signature)
    self.flat_weights, _ = tl.flatten_weights_and_state(
      self.model.weights, self.model.state
    )
    self.tokens = np.arange(LENGTH, dtype=np.int32)[None]
    self.plain = [
      trax_tools.Jitted(
        _model(hierarchy.format(factor), 'eval', **resamplers), signature
      )
      for factor in self.factors
    ]
    self.logits = [f(self.flat_weights, self.tokens) for f in self.plain]
    self.step = jax.jit(
      lambda state, rng: self.model.pure_fn(
        self.tokens, self.model.weights, state, rng
      )
    )

  def index_of(self, logits):
    """Returns the factor that gives these outputs."""
    (i,) = (
      i
      for i, expected in enumerate(self.logits)
      if np.allclose(logits, expected, atol=1e-5)
    )
    return i


@pytest.fixture(scope='module', params=MODELS)
def case(request):
  return Case(request.param)


def test_each_step_is_the_plain_model_of_one_factor(case):
  for i, x in enumerate(case.logits):
    for y in case.logits[:i]:
      assert np.abs(x - y).max() > 1e-3
  state, drawn = case.model.state, set()
  for i in range(30):
    logits, state = case.step(state, jax.random.PRNGKey(i))
    drawn.add(case.index_of(logits))
  assert drawn == set(range(len(case.factors)))
  assert case.step._cache_size() == 1


def test_the_draw_follows_from_the_state_alone(case):
  first, second = (
    case.step(case.model.state, jax.random.PRNGKey(i))[0] for i in (1, 2)
  )
  np.testing.assert_array_equal(first, second)


@pytest.mark.slow
@pytest.mark.parametrize('case', ['pooling_two_levels'], indirect=True)
def test_gradients_are_those_of_the_plain_model(case):
  def loss(logits):
    return trax_tools.cross_entropy(
      logits, case.tokens, np.ones(case.tokens.shape)
    )

  def drawn(weights):
    logits, _ = case.model.pure_fn(
      case.tokens, weights, case.model.state, case.model.rng
    )
    return loss(logits), logits

  (_, logits), tree = jax.jit(jax.value_and_grad(drawn, has_aux=True))(
    case.model.weights
  )
  plain = case.plain[case.index_of(logits)]
  expected = jax.jit(
    jax.grad(lambda flat_weights: loss(plain(flat_weights, case.tokens)))
  )(case.flat_weights)
  gradient, _ = tl.flatten_weights_and_state(tree, ())
  for x, y in zip(gradient, expected, strict=True):
    np.testing.assert_allclose(x, y, atol=1e-6)


@pytest.mark.slow
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
