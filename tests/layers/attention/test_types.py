"""Tests of attention types: ours, Trax's, and functions that are neither."""

import functools

import gin
import jax
from jax import numpy as jnp
import numpy as np
import pytest
from trax import layers as tl

from tests import trax_tools
from tests.layers import influence
from trax_hourglass import layers
from trax_hourglass.errors import UserError
from trax_hourglass.layers import attention_layer
from trax_hourglass.layers.attention.types import is_strictly_causal

LENGTH, D_MODEL, N_HEADS = 11, 8, 2
BIASES = layers.RelativeBiases(D_MODEL, N_HEADS)

# One chunk holds the whole sequence, so that all earlier vectors are in reach.
OURS = {
  'LSHAttention': functools.partial(layers.LSHAttention, chunk_len=LENGTH),
  'LocalAttention': functools.partial(layers.LocalAttention, window=LENGTH),
  'RotaryAttention': layers.RotaryAttention,
}
PURE_LSH = functools.partial(tl.PureLSHSelfAttention, chunk_len=LENGTH)
TYPES = OURS | {
  'CausalAttention': tl.CausalAttention,
  'LSHSelfAttention': functools.partial(tl.LSHSelfAttention, chunk_len=LENGTH),
  'PureLSHSelfAttentionWrapper': functools.partial(
    tl.PureLSHSelfAttentionWrapper,
    pure_lsh_implementation=PURE_LSH,
    num_weights=2,
    rotary_position_emb=True,
  ),
  'RelativeAttentionWrapper': tl.RelativeAttentionWrapper,
  'SelfAttention': tl.SelfAttention,
}
RARE = {
  'CausalFavor': tl.CausalFavor,
  'ConvCausalAttention': tl.ConvCausalAttention,
  'LowRankCausalAttention': functools.partial(
    tl.LowRankCausalAttention, lowrank=2
  ),
  'MixedLSHSelfAttention': functools.partial(
    tl.MixedLSHSelfAttention, std_length=LENGTH
  ),
  'ModularCausalAttention': tl.ModularCausalAttention,
  'MultiplicativeCausalAttention': tl.MultiplicativeCausalAttention,
  'MultiplicativeConvCausalAttention': tl.MultiplicativeConvCausalAttention,
  'MultiplicativeModularCausalAttention': (
    tl.MultiplicativeModularCausalAttention
  ),
  'PureLSHSelfAttention': PURE_LSH,
}


@pytest.mark.parametrize('name', TYPES)
def test_sees_all_earlier_vectors_and_no_later_one(name, monkeypatch):
  influence.fix_hashes(monkeypatch)
  layer = attention_layer(TYPES[name], D_MODEL, N_HEADS, 0.1, 'eval', *BIASES)
  reached = influence.of(layer, LENGTH, D_MODEL)
  assert np.triu(reached, 1).sum() == LENGTH * (LENGTH - 1) / 2
  assert not np.tril(reached, -1).any()


@pytest.mark.slow
@pytest.mark.parametrize('name', RARE)
def test_rarer_types_see_no_later_vector(name, monkeypatch):
  influence.fix_hashes(monkeypatch)
  layer = attention_layer(RARE[name], D_MODEL, N_HEADS, 0.1, 'eval')
  reached = influence.of(layer, LENGTH, D_MODEL)
  assert np.triu(reached, 1).sum() == LENGTH * (LENGTH - 1) / 2
  assert not np.tril(reached, -1).any()


@pytest.mark.parametrize('name', [*OURS, 'SelfAttention'])
def test_every_weight_has_a_finite_gradient(name):
  layer = attention_layer(TYPES[name], D_MODEL, N_HEADS, mode='train')
  signature = trax_tools.activations_signature(LENGTH, D_MODEL)
  forward = trax_tools.Jitted(layer, signature)
  x, y = np.random.default_rng(0).normal(size=(2, 1, LENGTH, D_MODEL))

  @jax.jit
  @jax.grad
  def gradient(weights):
    return (y * forward(weights, x.astype(np.float32))).sum()

  norms = np.array(
    [np.linalg.norm(g) for g in gradient(forward.random_weights())]
  )
  assert np.isfinite(norms).all()
  assert (norms > 1e-5 * np.linalg.norm(norms)).all()


@pytest.mark.parametrize('name', TYPES | RARE)
def test_lsh_alone_is_not_strictly_causal(name):
  layer = attention_layer(
    (TYPES | RARE)[name], D_MODEL, N_HEADS, 0.0, 'eval', *BIASES
  )
  assert is_strictly_causal(tl.Serial(layer)) == ('LSH' not in name)


def test_any_other_function_is_called_as_relative_attention_is():
  calls = []

  def attention_type(d_model, **keywords):
    calls.append((d_model, keywords))
    return tl.Dense(d_model)

  attention_layer(attention_type, D_MODEL, N_HEADS, 0.3, 'train', *BIASES, 6)
  keywords = {
    'n_heads': N_HEADS,
    'dropout': 0.3,
    'mode': 'train',
    'context_bias_layer': BIASES[0],
    'location_bias_layer': BIASES[1],
    'total_pooling': 6,
  }
  assert calls == [(D_MODEL, keywords)]
  attention_layer(
    attention_type, D_MODEL, mode='predict', max_inference_length=5
  )
  assert calls[1][1]['max_inference_length'] == 5


@pytest.mark.parametrize('name', ['SelfAttention', 'LSHSelfAttention'])
def test_attention_of_trax_drops_weights_not_outputs(name):
  """Its output dropout drops columns; the block has a dropout of its own."""
  attention_type = functools.partial(TYPES[name], output_dropout=0.5)
  x = np.random.default_rng(2).normal(size=(1, LENGTH, D_MODEL)).astype('f')

  def output(mode):
    layer = attention_layer(attention_type, D_MODEL, N_HEADS, 0.5, mode)
    signature = trax_tools.activations_signature(LENGTH, D_MODEL)
    forward = trax_tools.Jitted(layer, signature)
    return forward(forward.random_weights(), x)

  trained = output('train')
  assert np.abs(trained - output('eval')).max() > 0.1
  assert (trained != 0).any((0, 1)).all()


def test_attention_of_trax_keeps_the_precision_of_its_input():
  layer = attention_layer(tl.CausalAttention, D_MODEL, N_HEADS, mode='eval')
  signature = trax_tools.activations_signature(LENGTH, D_MODEL)
  forward = trax_tools.Jitted(layer, signature)
  x = jnp.ones((1, LENGTH, D_MODEL), jnp.bfloat16)
  assert forward(forward.random_weights(), x).dtype == jnp.bfloat16


@pytest.fixture
def bound():
  """A function from gin bindings to the attention type they bind."""

  def attention_type(reference, *bindings):
    gin.parse_config([f'test.kept.attention_type = {reference}', *bindings])
    return gin.get_configurable('test.kept')()

  yield attention_type
  gin.clear_config()


@gin.register(module='test')
def kept(attention_type):
  return attention_type


@pytest.mark.parametrize('scope', ['', 'narrow/'])
def test_knows_classes_of_trax_as_gin_binds_them(bound, scope):
  attention_type = bound(
    f'@{scope}trax.layers.SelfAttention',
    f'{scope}trax.layers.SelfAttention.chunk_len = 4',
    'trax.layers.SelfAttention.n_chunks_before = 1',
    'trax.layers.SelfAttention.bias = True',
  )
  layer = attention_layer(attention_type, D_MODEL, N_HEADS, mode='eval')
  reached = influence.of(layer, 12, D_MODEL)
  source, output = np.indices((12, 12))
  in_reach = (source <= output) & (source // 4 >= output // 4 - 1)
  np.testing.assert_array_equal(reached, in_reach)


@pytest.mark.parametrize('scope', ['', 'narrow/'])
def test_knows_functions_of_trax_as_gin_binds_them(bound, scope):
  attention_type = bound(
    f'@{scope}trax.layers.CausalAttention',
    f'{scope}trax.layers.CausalAttention.use_dconv = True',
  )
  layer = attention_layer(attention_type, D_MODEL, N_HEADS)
  assert 'CausalDepthwiseConv' in str(layer)


def test_knows_lsh_attention_as_the_authors_bind_it(bound):
  attention_type = bound(
    '@trax.layers.PureLSHSelfAttentionWrapper',
    'trax.layers.PureLSHSelfAttentionWrapper.pure_lsh_implementation ='
    ' @trax.layers.PureLSHSelfAttention',
    'trax.layers.PureLSHSelfAttention.chunk_len = 4',
  )
  layer = attention_layer(attention_type, D_MODEL, N_HEADS, mode='eval')
  trax_tools.Jitted(layer, trax_tools.activations_signature(12, D_MODEL))
  with pytest.raises(tl.base.LayerError, match='chunk_len: got 4, expected'):
    trax_tools.Jitted(layer, trax_tools.activations_signature(10, D_MODEL))


@pytest.mark.parametrize('name', ['SelfAttention', 'LSHSelfAttention'])
def test_chunks_that_do_not_fit_are_named(name):
  attention_type = functools.partial(getattr(tl, name), chunk_len=4)
  layer = attention_layer(attention_type, D_MODEL, N_HEADS, mode='eval')
  message = f'{name}.chunk_len: got 4, expected a divisor of the length 11'
  with pytest.raises(tl.base.LayerError, match=message):
    trax_tools.Jitted(layer, trax_tools.activations_signature(11, D_MODEL))


@pytest.mark.parametrize(
  ('attention_type', 'message'),
  [
    (None, 'got None, expected the function that makes the layer'),
    ('SelfAttention', "got 'SelfAttention', expected the function"),
    (tl.Dense(8), 'got Dense_8, expected the function'),
    (tl.Attention, "got Trax's Attention, which is no causal attention"),
    (tl.AttentionQKV, 'use one of CausalAttention, CausalFavor, '),
    (tl.DotProductCausalAttention, "got Trax's DotProductCausalAttention"),
    (tl.EncDecAttention, "got Trax's EncDecAttention"),
    (tl.Favor, "got Trax's Favor,"),
    (tl.RelativeAttentionLMLayer, "got Trax's RelativeAttentionLMLayer"),
    (tl.Dense, "got Trax's Dense"),
    (lambda d_model, **_: None, 'attention type <lambda>: got None'),
    (lambda d_model, **_: tl.Add(), 'returns a layer from one array to one'),
  ],
)
def test_refuses_what_is_not_an_attention_type(attention_type, message):
  with pytest.raises(UserError, match=message):
    attention_layer(attention_type, 8)


@pytest.mark.parametrize(
  ('attention_type', 'message'),
  [
    (tl.CausalFavor, "got Trax's CausalFavor, which keeps no cache"),
    (tl.LSHSelfAttention, 'LSHSelfAttention, which keeps no cache'),
    (tl.PureLSHSelfAttentionWrapper, 'use RelativeAttention, Rotary'),
    (tl.RelativeAttentionWrapper, 'or one of CausalAttention, ConvCausal'),
    (
      functools.partial(tl.CausalAttention, use_dconv=True),
      'got use_dconv=True, whose',
    ),
    (functools.partial(tl.SelfAttention, bias=True), 'got bias=True, which'),
  ],
)
def test_refuses_types_without_a_cache(attention_type, message):
  with pytest.raises(UserError, match=message):
    attention_layer(attention_type, D_MODEL, N_HEADS, mode='predict')


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'d_model': 10, 'n_heads': 4}, 'd_model 10: expected an even number'),
    ({'d_model': 0}, 'd_model: got 0'),
    ({'d_model': 8, 'dropout': 1.5}, 'dropout: got 1.5'),
    ({'d_model': 8, 'mode': 'test'}, "mode: got 'test'"),
  ],
)
def test_names_what_is_wrong(arguments, message):
  with pytest.raises(UserError, match=message):
    attention_layer(tl.SelfAttention, **arguments)
