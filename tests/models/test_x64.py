"""With 64-bit types enabled in JAX, models still compute in 32 bits."""

import functools

import jax
import numpy as np
import pytest
from trax import layers as tl

from tests import trax_tools
from tests.layers import influence
from tests.layers.attention import test_types
from tests.models import predicting, test_predict
from tests.training import small_loop
import trax_hourglass as th

LENGTH = test_predict.LENGTH
TOKENS = predicting.tokens(LENGTH)
BIG = np.linspace(0, 12_000, 7).astype(np.int32)

TYPES = test_types.TYPES | test_types.RARE
CACHED = {
  'CausalAttention': tl.CausalAttention,
  'ConvCausalAttention': tl.ConvCausalAttention,
  'LowRankCausalAttention': functools.partial(
    tl.LowRankCausalAttention, lowrank=2
  ),
  'ModularCausalAttention': tl.ModularCausalAttention,
  'MultiplicativeCausalAttention': tl.MultiplicativeCausalAttention,
  'MultiplicativeConvCausalAttention': tl.MultiplicativeConvCausalAttention,
  'MultiplicativeModularCausalAttention': (
    tl.MultiplicativeModularCausalAttention
  ),
  'SelfAttention': functools.partial(
    tl.SelfAttention, chunk_len=2, n_chunks_before=2
  ),
}
CASES = test_predict.CASES | {
  name: {
    'hierarchy': '0@1 1@2 1@1',
    **test_predict.AVERAGE,
    **test_predict.attention(cached),
  }
  for name, cached in CACHED.items()
}


@pytest.mark.parametrize(
  ('name', 'dtype'),
  [
    ('average_repeat', 'float32'),
    *(
      pytest.param(name, dtype, marks=pytest.mark.slow)
      for name in CASES
      for dtype in ('float32', 'bfloat16')
      if (name, dtype) != ('average_repeat', 'float32')
    ),
  ],
)
def test_predicts_the_logits_of_32_bits(name, dtype):
  length = LENGTH + 1 if name == 'SelfAttention' else LENGTH
  tokens = predicting.tokens(length)
  case = CASES[name] | {'activation_dtype': dtype}
  evaluated, _ = predicting.pair(length, **case)
  weights = evaluated.random_weights()
  expected = evaluated(weights, tokens)
  tolerance = 1e-4 if dtype == 'float32' else 0.05 * np.abs(expected).max()
  with jax.enable_x64(True):
    _, model = predicting.pair(length, **case)
    for run in (model.call, model.one_by_one):
      logits, state = run(weights, model.start, predicting.fed(tokens))
      assert logits.dtype == np.float32
      np.testing.assert_allclose(logits, expected, rtol=0, atol=tolerance)
      # Dropout keeps its rate, a scalar.
      kept = {x.dtype for x in jax.tree.leaves(state) if x.shape}
      assert np.dtype('float64') not in kept


@pytest.mark.slow
@pytest.mark.parametrize('name', TYPES)
def test_trains_and_evaluates_in_32_bits(name, monkeypatch):
  influence.fix_hashes(monkeypatch)
  types = test_predict.attention(TYPES[name])

  def models():
    for mode in ('train', 'eval'):
      model = th.HourglassLM(
        **predicting.WIDTHS, hierarchy='2@1', **types, dropout=0.1, mode=mode
      )
      yield trax_tools.Jitted(model, trax_tools.tokens_signature(LENGTH))

  _, evaluated = models()
  weights = evaluated.random_weights()
  expected = evaluated(weights, TOKENS)
  with jax.enable_x64(True):
    trained, evaluated = models()
    logits = evaluated(weights, TOKENS)
    gradients = jax.jit(jax.grad(lambda w: trained(w, TOKENS).sum()))(weights)
  assert logits.dtype == np.float32
  np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
  assert {g.dtype for g in gradients} == {np.dtype('float32')}
  assert all(np.isfinite(g).all() for g in gradients)


def test_angles_are_computed_in_32_bits():
  """Weights were trained with the rounding of angles at large distances."""

  def angles():
    x = np.ones((1, len(BIG), 8), np.float32)
    return (
      jax.device_get(th.kernels.sinusoids.at(BIG, 8)),
      jax.device_get(th.kernels.sinusoids.rotate(x, 12_000)),
    )

  expected = angles()
  with jax.enable_x64(True):
    found = angles()
  for x, y in zip(found, expected, strict=True):
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, y, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_loop_trains_the_same():
  expected = small_loop.small_loop(device_batch_size=1)
  expected.run(2)
  with jax.enable_x64(True):
    loop = small_loop.small_loop(device_batch_size=1)
    loop.run(2)
  for x, y in zip(*map(small_loop.weights, (loop, expected)), strict=True):
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['attention', 'trax'])
def test_sampler_draws_the_same(name):
  def sampled():
    model = th.HourglassLM(
      **predicting.WIDTHS | CASES[name],
      mode='predict',
      max_inference_length=24,
    )
    model.init(np.zeros((1, 1), np.int32))
    rng = np.random.default_rng(1)
    model.weights = jax.tree.map(
      lambda w: rng.normal(scale=0.3, size=w.shape).astype(np.float32),
      model.weights,
    )
    return th.Sampler(model).sample([1, 2, 3], 12, top_k=5).tokens

  expected = sampled()
  with jax.enable_x64(True):
    np.testing.assert_array_equal(sampled(), expected)
