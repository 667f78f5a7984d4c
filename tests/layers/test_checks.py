"""Tests of checks for tokens outside the vocabulary."""

import jax
from jax.experimental import checkify
import numpy as np
import pytest
from trax import shapes

import trax_hourglass as th

VOCAB_SIZE = 7


@pytest.mark.parametrize(
  'tokens', [[[0, 6], [3, 0]], [], [6], np.array([5], np.uint8), 0]
)
def test_tokens_of_the_vocabulary(tokens):
  th.check_tokens(np.asarray(tokens), VOCAB_SIZE)
  th.check_tokens(jax.numpy.asarray(tokens), VOCAB_SIZE)


@pytest.mark.parametrize('outside', [-1, 7, 2**31 - 1])
def test_tokens_outside_the_vocabulary(outside):
  tokens = np.array([[1, 2], [3, outside]])
  for there in (tokens, jax.numpy.asarray(tokens)):
    with pytest.raises(th.UserError) as error:
      th.check_tokens(there, VOCAB_SIZE, 'mine')
    assert str(error.value).startswith(
      f'mine: got a token {outside}, expected tokens from 0 to 6, '
    )
    assert '\n' not in str(error.value)


def test_costs_nothing_in_a_compiled_function():
  def checked(tokens):
    th.check_tokens(tokens, VOCAB_SIZE)
    return tokens + 1

  def plain(tokens):
    return tokens + 1

  tokens = np.array([7])
  programs = [
    jax.jit(function).lower(tokens).as_text().partition('{')[2]
    for function in (checked, plain)
  ]
  assert programs[0] == programs[1]
  with pytest.raises(th.UserError):
    checked(tokens)


def test_checkify_finds_wrong_tokens_in_a_compiled_model():
  """As the README says; without `checkify` the nearest token is taken."""
  model = th.HourglassLM(
    VOCAB_SIZE, d_model=4, d_ff=4, n_heads=1, hierarchy='1@1', mode='eval'
  )
  tokens = np.array([[1, 6, 2]], np.int32)
  model.init(shapes.signature(tokens))

  def logits(tokens):
    return model.pure_fn(
      tokens, model.weights, model.state, jax.random.PRNGKey(0)
    )[0]

  checked = jax.jit(checkify.checkify(logits, errors=checkify.index_checks))
  error, expected = checked(tokens)
  error.throw()
  error, clipped = checked(np.where(tokens == 6, 9, tokens))
  np.testing.assert_array_equal(clipped, expected)
  with pytest.raises(checkify.JaxRuntimeError, match='index 9 is out of'):
    error.throw()
