"""Documents in one row give the logits that each of them gives alone."""

import functools

import jax
import numpy as np
import pytest
from trax import layers as tl
from trax.layers.research import resampling as trax_resampling

from tests import trax_tools
import trax_hourglass as th
from trax_hourglass.layers.checks import check_segments

WIDTHS = {'vocab_size': 13, 'd_model': 12, 'd_ff': 14, 'n_heads': 3}
# Starts are multiples of all total shorten factors.
SIZES = 12, 5, 9, 17
STARTS = 0, 12, 24, 36
LENGTH = 53  # No multiple of any factor.
ROTARY = {
  'vanilla_attn_type': functools.partial(th.LocalAttention, window=4),
  'middle_attn_type': th.RotaryAttention,
}
CASES = {
  'two_levels': {
    'hierarchy': '0@1 2@2 1@6 0@2 1@1',
    'vanilla_attn_type': th.RotaryAttention,
  },
  'vanilla': {'hierarchy': '2@1', **ROTARY},
  'linear': {
    'hierarchy': '1@1 2@3 1@1',
    **ROTARY,
    'downsampling_fn': th.LinearPooling,
    'upsampling_fn': th.LinearUpsampling,
  },
  'average': {
    'hierarchy': '1@1 1@2 1@4 1@2 0@1',
    'middle_attn_type': functools.partial(th.LocalAttention, window=2),
    'downsampling_fn': th.AveragePooling,
    'upsampling_fn': th.NaiveUpsampling,
  },
  'rematerialized': {
    'hierarchy': '1@1 2@4 1@1',
    'rematerialize': True,
    'attention_downsampling_fn': th.LinearPooling,
    'attention_upsampling_fn': th.NoUpsampling,
  },
  'no_upsampling': {
    'hierarchy': '1@1 1@3 1@1',
    'upsampling_fn': th.NoUpsampling,
  },
  'shorten_factor_dropout': {
    'hierarchy': '1@1 1@{2,3} 1@1',
    'attention_upsampling_fn': th.NaiveUpsampling,
  },
}


class _Model:
  """Loss, logits and gradients in mode 'train', compiled once."""

  def __init__(self, *signatures, **arguments):
    model = th.HourglassLM(**WIDTHS, **arguments, dropout=0.0, mode='train')
    _ = model.rng  # Made when first read: not within a trace.
    signature = model.weights_and_state_signature(
      signatures if len(signatures) > 1 else signatures[0]
    )
    self.shapes = [x.shape for x in tl.flatten_weights_and_state(*signature)[0]]
    flat_state = [
      np.zeros(x.shape, x.dtype)
      for x in tl.flatten_weights_and_state(*signature)[1]
    ]

    def loss(flat_weights, tokens, loss_weights, *segments):
      weights, state = tl.unflatten_weights_and_state(
        flat_weights, flat_state, signature
      )
      inputs = (tokens, *segments) if segments else tokens
      logits, _ = model.pure_fn(inputs, weights, state, jax.random.PRNGKey(0))
      nats = trax_tools.cross_entropy(logits, tokens, loss_weights)
      return nats, logits

    self.run = jax.jit(jax.value_and_grad(loss, has_aux=True))


def _packed(seed=0):
  """Returns tokens and segments of a row, and each document in a row."""
  rng = np.random.default_rng(seed)
  tokens, segments = np.zeros((2, 1, LENGTH), np.int32)
  alone = np.zeros((len(SIZES), LENGTH), np.int32)
  for i, (start, size) in enumerate(zip(STARTS, SIZES, strict=True)):
    alone[i, :size] = tokens[0, start : start + size] = rng.integers(
      1, WIDTHS['vocab_size'], size
    )
    segments[0, start : start + size] = i + 1
  return tokens, segments, alone


@pytest.mark.parametrize(
  'name',
  [
    'two_levels',
    *(pytest.param(name, marks=pytest.mark.slow) for name in list(CASES)[1:]),
  ],
)
def test_packed_documents_equal_each_alone(name):
  signature = trax_tools.tokens_signature(LENGTH)
  packed = _Model(signature, signature, **CASES[name], documents=True)
  single = _Model(
    trax_tools.tokens_signature(LENGTH, len(SIZES)), **CASES[name]
  )
  rng = np.random.default_rng(1)
  weights = [
    rng.normal(scale=0.3, size=shape).astype(np.float32)
    for shape in single.shapes
  ]
  assert packed.shapes == single.shapes
  tokens, segments, alone = _packed()
  counts = (segments > 0).astype(np.float32)
  (loss, logits), gradients = packed.run(weights, tokens, counts, segments)
  (loss_alone, logits_alone), gradients_alone = single.run(
    weights, alone, (alone > 0).astype(np.float32)
  )
  assert float(loss) == pytest.approx(float(loss_alone), rel=1e-6)
  for row, start, size in zip(logits_alone, STARTS, SIZES, strict=True):
    np.testing.assert_allclose(
      logits[0, start : start + size], row[:size], rtol=0, atol=1e-5
    )
  norm = np.sqrt(sum(np.sum(np.square(x)) for x in gradients_alone))
  for got, expected in zip(gradients, gradients_alone, strict=True):
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * norm)
  # Nothing crosses a border, either way.
  for i, (start, size) in enumerate(zip(STARTS, SIZES, strict=True)):
    changed = tokens.copy()
    changed[0, start : start + size] %= 12
    changed[0, start : start + size] += 1
    (_, moved), _ = packed.run(weights, changed, counts, segments)
    for j, (other, n) in enumerate(zip(STARTS, SIZES, strict=True)):
      rows = slice(other, other + n)
      is_same = np.array_equal(moved[0, rows], logits[0, rows])
      assert is_same == (i != j)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (
      {'middle_attn_type': th.LSHAttention},
      'middle_attn_type: got LSHAttention, which may mix documents, expected',
    ),
    (
      {'vanilla_attn_type': tl.CausalAttention},
      'vanilla_attn_type: got CausalAttention, .* RotaryAttention, LocalAtt',
    ),
    (
      {'upsampling_fn': trax_resampling.AttentionResampling},
      'upsampling_fn: got AttentionResampling, .* of trax_hourglass: Attention',
    ),
    ({'downsampling_fn': lambda *_: None}, 'downsampling_fn: got <lambda>'),
  ],
)
@pytest.mark.parametrize('mode', ['train', 'predict'])
def test_what_mixes_documents_is_refused(arguments, message, mode):
  with pytest.raises(th.UserError, match=message) as error:
    th.HourglassLM(**WIDTHS, **arguments, documents=True, mode=mode)
  assert '\n' not in str(error.value)


def test_tokens_alone_are_one_document():
  """As in scoring a text and in generation, which have no segments."""
  arguments = {'hierarchy': '0@1 0@3 0@1', 'downsampling_fn': th.AveragePooling}
  arguments['upsampling_fn'] = th.NaiveUpsampling
  apart = th.HourglassLM(**WIDTHS, **arguments, documents=True, mode='eval')
  plain = th.HourglassLM(**WIDTHS, **arguments, mode='eval')
  tokens = np.arange(10, dtype=np.int32)[None]
  apart.init(apart.tokens_signature)
  plain.init(plain.tokens_signature)
  plain.weights = apart.weights
  np.testing.assert_array_equal(
    th.log_probs(apart, tokens), th.log_probs(plain, tokens)
  )
  predicting = th.HourglassLM(
    **WIDTHS, **arguments, documents=True, mode='predict'
  )
  assert predicting.n_in == 1
  segments = np.array([[1, 1, 1, 1, 2, 2, 2, 2, 2, 2]], np.int32)
  with pytest.raises(th.UserError, match='starts at token 4 of a row'):
    apart.forward((tokens, segments))


@pytest.mark.parametrize(
  ('segments', 'message'),
  [
    (
      np.ones((2, 7), int),
      r'segments: got int64 \(2, 7\), expected .*\(2, 8\)',
    ),
    (np.ones((2, 8)), 'segments: got float64'),
    (
      np.array([[1] * 8, [1, 1, 0, 0, 0, 2, 2, 2]]),
      'got a document that starts at token 5 of a row, expected a multiple of '
      'the total shorten factor, 4; set document_inputs.total_shorten_factor',
    ),
  ],
)
def test_bad_segments(segments, message):
  with pytest.raises(th.UserError, match=message) as error:
    check_segments(np.ones((2, 8), int), segments, 4)
  assert '\n' not in str(error.value)


def test_good_segments():
  segments = np.array([[1, 1, 0, 0, 2, 2, 2, 2], [3, 0, 0, 0, 0, 0, 0, 0]])
  check_segments(np.ones((2, 8), int), segments, 4)
