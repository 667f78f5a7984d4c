"""Log-probabilities, against a plain computation from the logits."""

import functools
import gc
import weakref

import jax
import numpy as np
import pytest
from trax import layers as tl
from trax.layers import base

from tests import trax_tools
import trax_hourglass as th
from trax_hourglass.lab.benchmarks import steps

SIZES = {'vocab_size': 251, 'd_model': 12, 'd_ff': 14, 'n_heads': 3}
# One of each attention type and hierarchy; no length is a multiple of either.
MODELS = {
  'relative': {'hierarchy': '0@1 1@3 1@1'},
  'three levels': {
    'hierarchy': '0@1 1@2 1@4 0@2 1@1',
    'vanilla_attn_type': th.RotaryAttention,
    'middle_attn_type': th.LocalAttention,
    'downsampling_fn': th.AveragePooling,
    'upsampling_fn': th.NaiveUpsampling,
  },
  'lsh': {
    'hierarchy': '1@1',
    'vanilla_attn_type': th.LSHAttention,
    'activation_dtype': 'bfloat16',
  },
}
TOKENS = np.random.default_rng(0).integers(251, size=(2, 13))


def build(**arguments):
  """Returns a model with random weights, which Trax takes seconds to draw."""
  model = th.HourglassLM(**SIZES, **arguments, mode='eval')
  signature = model.weights_and_state_signature(trax_tools.tokens_signature(5))
  rng = np.random.default_rng(1)
  model.weights, model.state = jax.tree.map(
    lambda x: rng.normal(scale=0.3, size=x.shape).astype(x.dtype), signature
  )
  return model


@pytest.fixture(name='model', scope='module')
def _model():
  return build(**MODELS['relative'])


def plain(model, tokens):
  """Returns float64 log-probabilities of all that might be at each place."""
  logits = jitted(model)(model.weights, np.asarray(tokens, np.int32))
  logits = np.asarray(logits, np.float64)
  return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


@functools.cache
def jitted(model):
  return jax.jit(lambda w, x: model.pure_fn(x, w, model.state, None)[0])


@pytest.mark.parametrize(
  'name',
  ['relative', pytest.param('three levels', marks=pytest.mark.slow), 'lsh'],
)
def test_log_probs_of_any_model(name):
  model = build(**MODELS[name])
  found = th.log_probs(model, TOKENS)
  assert (found.dtype, found.shape) == (np.float32, (2, 13))
  expected = np.take_along_axis(plain(model, TOKENS), TOKENS[..., None], -1)
  np.testing.assert_allclose(found, expected[..., 0], atol=1e-5)
  assert expected.std() > 0.1


def test_the_first_token_is_given_nothing(model):
  """And none is given itself or a later one."""
  found = th.log_probs(model, TOKENS)
  changed = TOKENS.copy()
  changed[:, 7:] = (changed[:, 7:] + 1) % 251
  after = th.log_probs(model, changed)
  np.testing.assert_array_equal(after[:, :7], found[:, :7])
  first = plain(model, TOKENS)[:, 0]
  np.testing.assert_allclose(np.exp(first).sum(axis=-1), 1, rtol=1e-6)
  np.testing.assert_allclose(first[0], first[1], atol=1e-6)


def test_sums_of_log_probs_and_greedy_ones(model):
  prefix = b'any'

  def rows(*answers):
    padded = [(prefix + answer).ljust(13, b'\0') for answer in answers]
    return np.frombuffer(b''.join(padded), np.uint8).reshape(-1, 13)

  greedy = b''
  for n in (3, 4):
    greedy += bytes([plain(model, rows(greedy, b''))[0, n].argmax()])
  other = greedy[:1] + bytes([(greedy[1] + 1) % 251])
  answers = [b'a', bytes([5, 250, 7]), b'four', b'length', greedy, other]
  found = th.log_likelihood(model, prefix, answers, batch_size=4)
  assert [x.is_greedy for x in found] == [False] * 4 + [True, False]
  expected = th.log_probs(model, rows(*answers))[:, 3:]
  for answer, likelihood, row in zip(answers, found, expected, strict=True):
    total = row[: len(answer)].sum()
    assert likelihood.log_likelihood == pytest.approx(total, abs=1e-4)
  tokens = [np.frombuffer(answer, np.uint8) for answer in answers]
  as_tokens = th.log_likelihood(model, [97, 110, 121], tokens, batch_size=4)
  assert as_tokens == found
  assert th.log_likelihood(model, b'', []) == []


def test_compiles_once_for_a_shape_and_takes_new_weights():
  model = build(hierarchy='0@1')
  th.log_likelihood(model, b'', [b'a', b'b'])
  smaller = jax.tree.map(lambda w: w / 2, model.weights)
  with steps.compilations() as compiled:
    before = th.log_likelihood(model, b'a prefix', [b'c', b'longer'])
    model.weights = smaller
    after = th.log_likelihood(model, b'a prefix', [b'c', b'longer'])
  assert not compiled
  assert before != after


def test_a_model_is_not_kept():
  model = build(hierarchy='0@1')
  th.log_probs(model, TOKENS)
  reference = weakref.ref(model)
  del model
  gc.collect()
  assert reference() is None


@pytest.mark.parametrize(
  ('tokens', 'message'),
  [
    ([[0, 251]], 'tokens: got a token 251, expected tokens from 0 to 250'),
    ([[0, -1]], 'tokens: got a token -1'),
    ([0, 1], r'tokens: got int64 \(2,\), expected whole numbers, \(batch, le'),
    ([[0.5]], r'tokens: got float64 \(1, 1\)'),
  ],
)
def test_names_what_is_wrong_with_tokens(model, tokens, message):
  with pytest.raises(th.UserError, match=message):
    th.log_probs(model, tokens)


@pytest.mark.parametrize(
  ('prefix', 'continuations', 'message'),
  [
    (b'', [b'a', b''], 'continuation 1: got none, expected some tokens'),
    (b'', [[[1]]], r'continuation 0: got int64 \(1, 1\), expected bytes or'),
    ([0.5], [b'a'], r'prefix: got float64 \(1,\)'),
    (b'', [b'\xff'], 'got a token 255'),
  ],
)
def test_names_what_is_wrong_with_texts(model, prefix, continuations, message):
  with pytest.raises(th.UserError, match=message):
    th.log_likelihood(model, prefix, continuations)


def score(model, tokens):
  return th.score(model, np.ravel(tokens).astype(np.uint8), tokens.shape[1])


@pytest.mark.parametrize('evaluate', [th.log_probs, score])
def test_refuses_a_model_that_keeps_a_cache(evaluate):
  model = th.HourglassLM(**SIZES, hierarchy='0@1', mode='predict')
  with pytest.raises(th.UserError, match="in mode 'predict', expected mode"):
    evaluate(model, TOKENS)


@pytest.mark.parametrize('evaluate', [th.log_probs, score])
def test_a_model_outlives_an_error(evaluate):
  def check(x):
    assert x.shape[1] < 13
    return x

  model = tl.Serial(tl.Embedding(251, 251), tl.Fn('Check', check))
  model.init(trax_tools.tokens_signature(5))
  with pytest.raises(base.LayerError):
    evaluate(model, TOKENS)
  weights = jax.tree.leaves((model.weights, model.rng))
  assert not any(isinstance(x, jax.core.Tracer) for x in weights)
