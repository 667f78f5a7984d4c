"""Mode 'predict' gives the logits of mode 'eval', however it is fed."""

import functools

import jax
import numpy as np
import pytest
from trax import layers as tl

from tests import trax_tools
from tests.models import predicting
import trax_hourglass as th
from trax_hourglass.kernels.cached import distances as cached_distances
from trax_hourglass.kernels.cached import many_queries, segments

LENGTH = 11
ONE_CHUNK = functools.partial(
  th.LSHAttention, chunk_len=LENGTH + 1, n_chunks_before=0, n_hashes=1
)
AVERAGE = {
  'downsampling_fn': th.AveragePooling,
  'upsampling_fn': th.NaiveUpsampling,
}
LINEAR = {
  'downsampling_fn': th.LinearPooling,
  'upsampling_fn': th.LinearUpsampling,
}


def attention(vanilla, middle=None):
  return {'vanilla_attn_type': vanilla, 'middle_attn_type': middle or vanilla}


CASES = {
  'baseline': {'hierarchy': '2@1'},
  'attention': {'hierarchy': '1@1 1@3 0@1'},
  'average_repeat': {'hierarchy': '0@1 1@4 1@1', **AVERAGE},
  'linear': {'hierarchy': '1@1 0@2 0@1', **LINEAR},
  'linear_none': {
    'hierarchy': '1@2',
    'downsampling_fn': th.LinearPooling,
    'upsampling_fn': th.NoUpsampling,
  },
  'attention_linear_repeat': {
    'hierarchy': '0@1 0@3 1@1',
    'attention_downsampling_fn': th.LinearPooling,
    'attention_upsampling_fn': th.NaiveUpsampling,
  },
  'attention_none': {
    'hierarchy': '0@1 0@2 0@1',
    'attention_upsampling_fn': th.NoUpsampling,
  },
  'three_levels': {'hierarchy': '0@1 0@2 1@4 1@2 0@1'},
  'average_three_levels': {'hierarchy': '0@1 1@2 1@6 0@2 1@1', **AVERAGE},
  'rotary_local': {
    'hierarchy': '1@1 1@2 0@1',
    **LINEAR,
    **attention(
      th.RotaryAttention, functools.partial(th.LocalAttention, window=2)
    ),
  },
  'lsh': {'hierarchy': '0@1 1@2 1@1', **AVERAGE, **attention(ONE_CHUNK)},
  'trax': {
    'hierarchy': '0@1 1@2 1@1',
    **AVERAGE,
    **attention(tl.CausalAttention, tl.SelfAttention),
  },
  'drawn_factor': {'hierarchy': '0@1 1@{2,3} 0@1', **AVERAGE},
}


@pytest.fixture
def short_segments(monkeypatch):
  """Makes short caches have several segments and blocks."""
  monkeypatch.setattr(segments, 'FIRST', 7)
  monkeypatch.setattr(many_queries, 'QUERIES', 6)
  monkeypatch.setattr(many_queries, 'KEYS', 6)
  monkeypatch.setattr(cached_distances, 'BLOCK', 2)


# Their layers occur in the cases of three levels, too.
_REPEATED = ('baseline', 'attention', 'average_repeat')


@pytest.mark.parametrize(
  'name',
  [
    pytest.param(name, marks=pytest.mark.slow if name in _REPEATED else ())
    for name in CASES
  ],
)
def test_logits_are_those_of_eval(name):
  evaluated, model = predicting.pair(LENGTH, **CASES[name])
  weights = evaluated.random_weights()
  assert model.shapes == evaluated.shapes
  tokens = predicting.tokens(LENGTH)
  logits, _ = model.one_by_one(weights, model.start, predicting.fed(tokens))
  np.testing.assert_allclose(
    logits, evaluated(weights, tokens), rtol=0, atol=1e-4
  )


BATCH, LONGER = 2, 16  # Whole chunks, for Trax's chunked attention.


@pytest.mark.parametrize(
  'arguments',
  [
    pytest.param({'hierarchy': '1@1 0@3 0@1'}, id='attention'),
    pytest.param(
      {'hierarchy': '1@1 0@2 1@6 0@2 0@1'}, id='levels', marks=pytest.mark.slow
    ),
    pytest.param(
      {
        'hierarchy': '1@1 1@3 0@1',
        **LINEAR,
        **attention(
          functools.partial(th.LocalAttention, window=3), th.RotaryAttention
        ),
      },
      id='local_rotary',
    ),
    pytest.param(
      {
        'hierarchy': '1@1 1@2 0@1',
        **attention(
          functools.partial(tl.SelfAttention, chunk_len=4, n_chunks_before=1),
          tl.CausalAttention,
        ),
        **AVERAGE,
      },
      id='trax',
      marks=pytest.mark.slow,
    ),
  ],
)
def test_calls_may_bring_any_number_of_tokens(arguments, short_segments):
  """And leave the same state as one token at a time."""
  evaluated, model = predicting.pair(LONGER, BATCH, **arguments)
  weights = evaluated.random_weights()
  tokens = predicting.tokens(LONGER, BATCH)
  expected = evaluated(weights, tokens)
  fed = predicting.fed(tokens)
  logits, last = model.one_by_one(weights, model.start, fed)
  np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)

  for calls in ((16,), (1, 7, 7, 1), (7, 0, 1, 7, 1)):
    state, found = model.start, []
    for end, n in zip(np.cumsum(calls), calls, strict=True):
      y, state = model.call(weights, state, fed[:, end - n : end])
      found.append(y)
    found = np.concatenate(found, axis=1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    jax.tree.map(
      lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=1e-4),
      state,
      last,
    )


def test_a_call_that_is_too_long_leaves_the_state():
  layer = th.Hourglass(
    4,
    4,
    n_heads=2,
    hierarchy='1@1',
    mode='predict',
    max_inference_length=7,
    vanilla_attn_type=th.LocalAttention,
  )
  signature = trax_tools.activations_signature(1, 4)
  layer.weights, layer.state = jax.tree.map(
    lambda x: np.zeros(x.shape, x.dtype),
    layer.weights_and_state_signature(signature),
  )
  with pytest.raises(tl.base.LayerError, match='got 8 vectors in one call'):
    layer(np.zeros((1, 8, 4), np.float32))
  assert not any(x.any() for x in jax.tree.leaves(layer.state))


def test_a_call_leaves_the_state_that_it_is_given():
  """One of NumPy, too, such as a copy of the first."""
  layer = th.Hourglass(4, 4, n_heads=2, hierarchy='0@1', mode='predict')
  layer.init(trax_tools.activations_signature(1, 4))
  state = jax.device_get(layer.state)
  x = np.zeros((1, 1, 4), np.float32)
  _, new = layer.pure_fn(x, layer.weights, state, layer.rng)
  assert (jax.tree.leaves(state), jax.tree.leaves(new)) == ([0], [1])


def test_outputs_beyond_the_limit_are_nan():
  arguments = {'hierarchy': '0@1 0@2 0@1', **AVERAGE}
  evaluated, model = predicting.pair(
    LENGTH, max_inference_length=7, **arguments
  )
  weights = evaluated.random_weights()
  tokens = predicting.tokens(LENGTH)
  fed = predicting.fed(tokens)
  logits, state = model.one_by_one(weights, model.start, fed)
  expected = evaluated(weights, tokens)
  np.testing.assert_allclose(logits[:, :7], expected[:, :7], atol=1e-4)
  assert np.isnan(logits[:, 7:]).all()
  again, _ = model.call(weights, state, fed[:, :1])
  assert np.isnan(again).all()
  with pytest.raises(tl.base.LayerError, match='got 8 vectors in one call'):
    model.call(weights, model.start, fed[:, :8])


class Counting(tl.base.Layer):
  """An attention type that refuses nothing, and counts its vectors."""

  def init_weights_and_state(self, input_signature):
    self.state = np.zeros((), np.int32)

  def forward(self, x):
    self.state = self.state + x.shape[1]
    return x


@pytest.mark.parametrize(
  'layer',
  [
    th.RelativeAttention(4, mode='predict'),
    th.LSHAttention(4, mode='predict'),
    th.RotaryAttention(4, mode='predict'),
    th.LocalAttention(4, mode='predict'),
    th.Hourglass(
      4,
      4,
      n_heads=2,
      hierarchy='1@1 0@2 0@1',
      mode='predict',
      vanilla_attn_type=lambda d_model, **_: Counting(),
    ),
  ],
  ids=lambda layer: layer.name,
)
def test_a_refused_call_leaves_the_state(layer):
  """One of a batch of another size."""
  signature = layer.weights_and_state_signature(
    trax_tools.activations_signature(1, 4, batch=3)
  )
  layer.weights, layer.state = jax.tree.map(
    lambda x: np.zeros(x.shape, x.dtype), signature
  )
  one = np.zeros((1, 1, 4), np.float32)
  with pytest.raises(tl.base.LayerError, match='got 1 rows.*expected the 3 of'):
    layer(one)
  assert not any(map(np.any, jax.tree.leaves(layer.state)))


@pytest.mark.parametrize(
  'attention_type', [tl.CausalAttention, tl.SelfAttention, th.RelativeAttention]
)
def test_a_call_that_crosses_the_limit_is_nan(attention_type):
  """All outputs of such a call; a call that just fits is unharmed."""
  evaluated, model = predicting.pair(
    LENGTH,
    max_inference_length=7,
    hierarchy='1@1',
    vanilla_attn_type=attention_type,
  )
  weights = evaluated.random_weights()
  tokens = predicting.tokens(LENGTH)
  fed = predicting.fed(tokens)
  expected = evaluated(weights, tokens)
  first, state = model.call(weights, model.start, fed[:, :4])
  rest, _ = model.call(weights, state, fed[:, 4:7])
  np.testing.assert_allclose(
    np.concatenate([first, rest], axis=1), expected[:, :7], rtol=0, atol=1e-4
  )
  crossing, _ = model.call(weights, state, fed[:, 4:8])
  assert np.isnan(crossing).all()


@pytest.mark.parametrize(
  'arguments',
  [
    pytest.param({'hierarchy': '1@1 1@3 1@1'}, id='attention'),
    pytest.param({'hierarchy': '1@1 1@{2,3} 0@1', **AVERAGE}, id='drawn'),
  ],
)
def test_weights_of_training_fit(arguments):
  """The tree of weights can be assigned from model to model."""
  structures = []
  for mode in ('train', 'eval', 'predict'):
    model = th.HourglassLM(**predicting.WIDTHS, **arguments, mode=mode)
    signature = predicting.Predicting(model).signature
    structures.append(jax.tree.structure(signature[0]))
  assert structures[0] == structures[1] == structures[2]


@pytest.mark.slow
def test_a_step_copies_no_cache():
  """A compiled loop of steps needs little memory beside its state."""
  length = 4096
  _, model = predicting.pair(
    LENGTH, max_inference_length=length, hierarchy='1@1 1@2 1@1'
  )
  weights = [np.zeros(shape, np.float32) for shape in model.shapes]
  state = model.start
  n_bytes = sum(x.nbytes for x in jax.tree.leaves(state))
  smallest = length // 2 * predicting.WIDTHS['d_model'] * 4
  compiled = jax.jit(model.one_by_one, donate_argnums=1).lower(
    weights, state, predicting.tokens(8)
  )
  memory = compiled.compile().memory_analysis()
  assert n_bytes > 12 * smallest
  assert memory.temp_size_in_bytes < 3 * smallest
