"""Mode 'predict' against mode 'eval' for random models and calls."""

import functools

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import numpy as np
import pytest
from trax import layers as tl

from tests.models import predicting
import trax_hourglass as th

LENGTH = 12
ATTENTION = [
  th.RelativeAttention,
  th.RotaryAttention,
  functools.partial(th.LocalAttention, window=3),
  # One chunk holds the whole sequence, so no hash decides.
  functools.partial(
    th.LSHAttention, chunk_len=3 * LENGTH, n_chunks_before=0, n_hashes=1
  ),
  tl.CausalAttention,
  tl.SelfAttention,
]


@st.composite
def hierarchies(draw):
  """Draws one to three levels, of any number of blocks on either side."""
  factors, total = [1], 1
  for _ in range(draw(st.integers(0, 2))):
    total *= draw(st.integers(2, 4))
    factors.append(total)

  def level(factor, least=0):
    return f'{draw(st.integers(least, 2))}@{factor}'

  if len(factors) == 1:
    return level(1, least=1)
  down = [level(factor) for factor in factors]
  up = [level(factor) for factor in reversed(factors[:-1])]
  return ' '.join(down + up)


@st.composite
def arguments(draw):
  """Draws the arguments on which decoding depends."""
  pooling = st.sampled_from([th.AveragePooling, th.LinearPooling])
  upsampling = st.sampled_from(
    [th.LinearUpsampling, th.NaiveUpsampling, th.NoUpsampling]
  )
  attention = st.just(th.AttentionResampling)
  return {
    'hierarchy': draw(hierarchies()),
    'vanilla_attn_type': draw(st.sampled_from(ATTENTION)),
    'middle_attn_type': draw(st.sampled_from(ATTENTION)),
    'downsampling_fn': draw(attention | pooling),
    'upsampling_fn': draw(attention | upsampling),
    'attention_downsampling_fn': draw(pooling),
    'attention_upsampling_fn': draw(upsampling),
  }


@pytest.mark.slow
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(arguments(), st.integers(1, LENGTH), st.integers(0, 99))
def test_predict_is_eval(arguments, prompt_length, seed):
  """After a prompt in one call, one token at a time."""
  evaluated, model = predicting.pair(LENGTH, **arguments)
  weights = evaluated.random_weights(seed)
  tokens = predicting.tokens(LENGTH, seed=seed)
  expected = evaluated(weights, tokens)
  fed = predicting.fed(tokens)
  prompt, state = model.call(weights, model.start, fed[:, :prompt_length])
  rest, _ = model.one_by_one(weights, state, fed[:, prompt_length:])
  np.testing.assert_allclose(
    np.concatenate([prompt, rest], axis=1), expected, rtol=0, atol=1e-4
  )
  jax.clear_caches()
