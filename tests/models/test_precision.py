"""bfloat16 activations: float32 weights, softmax, norms and logits."""

import functools
from importlib import metadata

import jax
from jax import numpy as jnp
import numpy as np
import pytest
from trax import layers as tl
from trax import shapes

from tests import trax_tools
from tests.layers import influence
from tests.models import predicting
import trax_hourglass as th
from trax_hourglass import layers
from trax_hourglass.errors import UserError
from trax_hourglass.runtime import importing

LENGTH = 11
TOKENS = np.arange(LENGTH, dtype=np.int32)[None] % 13


def _model(mode, **arguments):
  return th.HourglassLM(
    vocab_size=13,
    d_model=12,
    d_ff=14,
    n_heads=3,
    hierarchy='0@1 1@2 0@1',
    mode=mode,
    **arguments,
  )


@pytest.fixture(scope='module')
def model():
  model = _model('train', dropout=0.1, activation_dtype='bfloat16')
  model.init(trax_tools.tokens_signature(LENGTH))
  return model


def _loss(model, weights):
  logits, _ = model.pure_fn(TOKENS, weights, model.state, model.rng)
  assert logits.dtype == jnp.float32
  return trax_tools.cross_entropy(logits, TOKENS, np.ones(TOKENS.shape))


def _gradient(model):
  # By default XLA calls a library for products, which on some CPUs lacks those
  # from bfloat16 to float32.
  options = None
  if metadata.version('jaxlib').startswith(importing._KNOW_LIBRARY_FUSIONS):
    options = {importing._LIBRARY_FUSIONS.removeprefix('--'): ''}
  return jax.jit(
    jax.grad(lambda weights: _loss(model, weights)), compiler_options=options
  )


def test_weights_and_gradients_are_float32(model):
  gradients = jax.eval_shape(_gradient(model), model.weights)
  for tree in (model.weights, gradients):
    assert {x.dtype for x in jax.tree.leaves(tree)} == {jnp.dtype('float32')}


@pytest.mark.slow
def test_gradients_are_finite(model):
  gradients = _gradient(model)(model.weights)
  assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients))


def test_every_product_has_bfloat16_factors(model):
  jaxpr = jax.make_jaxpr(lambda weights: _loss(model, weights))(model.weights)
  products = list(_equations(jaxpr.jaxpr, 'dot_general'))
  assert len(products) > 30
  for equation in products:
    assert {x.aval.dtype for x in equation.invars} == {jnp.dtype('bfloat16')}


def test_every_product_of_the_gradient_has_bfloat16_factors(model):
  gradient = jax.grad(lambda weights: _loss(model, weights))
  jaxpr = jax.make_jaxpr(gradient)(model.weights)
  products = list(_equations(jaxpr.jaxpr, 'dot_general'))
  assert len(products) > 90
  for equation in products:
    assert {x.aval.dtype for x in equation.invars} == {jnp.dtype('bfloat16')}


def test_softmax_is_float32(model):
  jaxpr = jax.make_jaxpr(lambda weights: _loss(model, weights))(model.weights)
  exponentials = list(_equations(jaxpr.jaxpr, 'exp'))
  assert len(exponentials) > 3
  for equation in exponentials:
    assert equation.invars[0].aval.dtype == jnp.float32


def _equations(jaxpr, name):
  """Yields the equations of a primitive, in inner jaxprs too."""
  for equation in jaxpr.eqns:
    if equation.primitive.name == name:
      yield equation
    for value in jax.tree.leaves(tuple(equation.params.values())):
      inner = getattr(value, 'jaxpr', value)
      if hasattr(inner, 'eqns'):
        yield from _equations(inner, name)


@pytest.mark.parametrize(
  'attention_type',
  [
    layers.RelativeAttention,
    layers.LSHAttention,
    pytest.param(layers.LocalAttention, marks=pytest.mark.slow),
    pytest.param(layers.RotaryAttention, marks=pytest.mark.slow),
    pytest.param(tl.ConvCausalAttention, marks=pytest.mark.slow),
    pytest.param(tl.LSHSelfAttention, marks=pytest.mark.slow),
    pytest.param(tl.SelfAttention, marks=pytest.mark.slow),
  ],
)
def test_logits_are_close_to_those_in_float32(attention_type, monkeypatch):
  influence.fix_hashes(monkeypatch)
  signature = trax_tools.tokens_signature(LENGTH)
  if attention_type is tl.LSHSelfAttention:
    attention_type = functools.partial(attention_type, chunk_len=1)
  types = {
    'vanilla_attn_type': attention_type,
    'middle_attn_type': attention_type,
  }
  exact, rounded = (
    trax_tools.Jitted(
      _model('eval', activation_dtype=dtype, **types), signature
    )
    for dtype in ('float32', 'bfloat16')
  )
  weights = exact.random_weights()
  expected = exact(weights, TOKENS)
  error = np.abs(rounded(weights, TOKENS) - expected).max()
  assert 0 < error < 0.05 * np.abs(expected).max()


def test_logits_are_not_rounded_to_bfloat16():
  signature = trax_tools.tokens_signature(LENGTH)
  model = trax_tools.Jitted(
    _model('eval', activation_dtype='bfloat16'), signature
  )
  logits = model(model.random_weights(), TOKENS)
  rounded = logits.astype(jnp.bfloat16).astype(jnp.float32)
  assert np.mean(logits != rounded) > 0.9


def test_caches_are_bfloat16_and_follow_eval():
  """In one pass and one by one, at both levels and across them."""
  arguments = {'hierarchy': '1@1 1@2 0@1'}
  exact, _ = predicting.pair(LENGTH, **arguments)
  rounded, model = predicting.pair(
    LENGTH, **arguments, activation_dtype='bfloat16'
  )
  state = jax.tree.leaves(model.signature[1])
  kept = {
    x.dtype for x in state if x.shape
  }  # Dropout keeps its rate, a scalar.
  assert kept == {jnp.dtype('bfloat16')}
  weights = exact.random_weights()
  expected = exact(weights, TOKENS)
  tolerance = 0.05 * np.abs(expected).max()
  for run in (model.call, model.one_by_one):
    logits, after = run(weights, model.start, predicting.fed(TOKENS))
    assert logits.dtype == jnp.float32
    assert np.abs(logits - expected).max() < tolerance
    assert np.abs(logits - rounded(weights, TOKENS)).max() < tolerance
    assert [x.dtype for x in jax.tree.leaves(after)] == [x.dtype for x in state]


def test_hourglass_keeps_the_dtype_of_its_input():
  layer = th.Hourglass(12, 14, n_heads=3, hierarchy='1@3', mode='eval')
  layer.init(trax_tools.activations_signature(LENGTH, 12))
  signature = shapes.ShapeDtype((1, LENGTH, 12), jnp.bfloat16)
  assert layer.output_signature(signature).dtype == jnp.bfloat16


def test_refuses_other_types():
  with pytest.raises(UserError, match="activation_dtype: got 'float16'"):
    _model('eval', activation_dtype='float16')


def test_is_part_of_the_flat_weights_of_no_layer(model):
  plain = _model('eval')
  plain.init(trax_tools.tokens_signature(LENGTH))
  ours, theirs = (
    tl.flatten_weights_and_state(m.weights, m.state)[0] for m in (model, plain)
  )
  assert [w.shape for w in ours] == [w.shape for w in theirs]
