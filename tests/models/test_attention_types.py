"""Attention types in models: causality, and the authors' outputs."""

import functools
import json

import gin
import jax
from jax import numpy as jnp
import numpy as np
import pytest
import trax
from trax import layers as tl
from trax.layers.research import efficient_attention

from tests import trax_tools
from tests.layers import influence
from tests.models import cases, test_equality
import trax_hourglass as th
from trax_hourglass.layers import (
  LocalAttention,
  LSHAttention,
  RotaryAttention,
)
from trax_hourglass.layers.attention import lsh

LSH = functools.partial(LSHAttention, chunk_len=4)
LOCAL = functools.partial(LocalAttention, window=2)
LENGTH = 11


@pytest.mark.parametrize(
  ('attention_type', 'sees_all'),
  [
    pytest.param(RotaryAttention, True, id='rotary'),
    pytest.param(LSH, False, id='lsh'),
    pytest.param(LOCAL, False, id='local', marks=pytest.mark.slow),
    pytest.param(tl.SelfAttention, True, id='trax', marks=pytest.mark.slow),
  ],
)
def test_no_later_token_reaches_an_output(
  attention_type, sees_all, monkeypatch
):
  """In vanilla and shortened layers; with LSH, as long as chunks are fixed."""
  influence.fix_hashes(monkeypatch)
  model = th.HourglassLM(
    **cases.WIDTHS,
    hierarchy='1@1 1@3 0@1',
    vanilla_attn_type=attention_type,
    middle_attn_type=attention_type,
    downsampling_fn=th.AveragePooling,
    upsampling_fn=th.NaiveUpsampling,
    mode='eval',
  )
  forward = trax_tools.Jitted(model, trax_tools.tokens_signature(LENGTH))
  reached = influence.between(cases.changed_tokens(LENGTH), forward)
  token, output = np.indices((LENGTH, LENGTH))
  assert not reached[token >= output].any()
  assert reached[token == output - 1].all()
  assert reached[token < output].all() == sees_all


def _load(name):
  """Parses a case's gin, and returns its arrays and model arguments."""
  case = np.load(test_equality.REFERENCE / f'{name}.npz')
  gin.clear_config()  # That of an earlier test may be locked.
  for binding in json.loads(str(case['gin'])):
    gin.parse_config('trax.layers.' + binding.replace('@', '@trax.layers.'))
  config = json.loads(str(case['config'])) | {'mode': 'eval'}
  return case, {
    key: getattr(tl, value, value) if isinstance(value, str) else value
    for key, value in config.items()
  }


def _their_hash_keys(config):
  """Returns the random key of each LSH attention of the authors' model."""
  model = trax.models.HourglassLM(**config)
  model.rng = jax.random.PRNGKey(0)
  layers = _layers(model, efficient_attention.PureLSHSelfAttention)
  return [layer.rng for layer in layers]


def _layers(layer, layer_class):
  """Returns the sublayers of a class, at any depth."""
  found = [layer] if isinstance(layer, layer_class) else []
  for sublayer in layer.sublayers:
    found += _layers(sublayer, layer_class)
  return found


def _with_hash_keys(model, keys):
  """Returns the model, with these keys for the hashes of its LSH layers."""
  ours = _layers(model, lsh.HashedSelfAttention)
  for layer, layer_keys in zip(ours, keys, strict=True):
    layer._keys = lambda n, layer_keys=layer_keys: layer_keys[:n]
  return model


def _with_state(model, tokens, keys):
  """Returns the model as a function of (flat weights, tokens).

  State is zero but for `keys`, those of the sequences' heads in Trax's layers.
  """
  signature = model.weights_and_state_signature(
    trax_tools.tokens_signature(*reversed(tokens.shape))
  )
  flat_weights, flat_state = tl.flatten_weights_and_state(*signature)
  keys = iter(keys)
  state = [
    next(keys) if s.dtype == np.uint32 else jnp.zeros(s.shape, s.dtype)
    for s in flat_state
  ]

  def forward(flat_weights, tokens):
    weights_and_state = tl.unflatten_weights_and_state(
      flat_weights, state, signature
    )
    rng = jax.random.PRNGKey(0)
    return model.pure_fn(tokens, *weights_and_state, rng)[0]

  return forward, [w.shape for w in flat_weights]


@pytest.fixture
def their_random_numbers():
  """Uses the random numbers of JAX before 0.5."""
  with jax.threefry_partitionable(False):
    yield
  gin.clear_config()


@pytest.mark.parametrize('name', ['lsh_imagenet64', 'lsh_linear'])
def test_equals_the_authors_model(name, their_random_numbers):
  """With our attention type, and with Trax's as their gin file binds it.

  Equal outputs need equal hashes, which are drawn at random: so ours take the
  keys of the authors' model, as initialised for the reference.
  """
  case, config = _load(name)
  tokens = case['tokens']
  n = len(tokens) * config['n_heads']
  keys = [jax.random.split(key, n) for key in _their_hash_keys(config)]
  if name == 'lsh_imagenet64':
    config['vanilla_attn_type'] = LSH
    model = _with_hash_keys(th.HourglassLM(**config), keys)
    forward, shapes = _with_state(model, tokens, [])
  else:
    forward, shapes = _with_state(th.HourglassLM(**config), tokens, keys)
  flat_weights = [case[f] for f in case.files if f.startswith('weights_')]
  assert [w.shape for w in flat_weights] == shapes

  test_equality.assert_equals_reference(forward, flat_weights, case)


@pytest.mark.slow
def test_a_later_token_moves_outputs_before_it(their_random_numbers):
  """By changing chunks: in the authors' model by as much as documented."""
  case, config = _load('lsh_imagenet64')
  hash_keys = _their_hash_keys(config)
  config['vanilla_attn_type'] = LSH
  n_heads, vocab_size = config['n_heads'], config['vocab_size']
  flat_weights = [case[f] for f in case.files if f.startswith('weights_')]
  moved = 0.0
  for row, tokens in enumerate(case['tokens']):
    heads = slice(row * n_heads, (row + 1) * n_heads)
    keys = [jax.random.split(key, 2 * n_heads)[heads] for key in hash_keys]
    model = _with_hash_keys(th.HourglassLM(**config), keys)
    forward, _ = _with_state(model, tokens[None], [])
    run = jax.jit(jax.vmap(forward, in_axes=(None, 0)))
    for i in range(len(tokens)):
      changed = np.tile(tokens, (vocab_size, 1, 1))
      changed[:, 0, i] = np.arange(vocab_size)
      logits = np.asarray(run(flat_weights, changed))[:, 0, : i + 1]
      moved = max(moved, np.abs(logits - logits[tokens[i]]).max())
  assert round(moved, 2) == 4.09
