"""Names of weights: from the structure, alike in each mode, and all of them."""

import functools

import numpy as np
import pytest
from trax import layers as tl
from trax import shapes

from tests import fingerprints
from tests.models import cases
import trax_hourglass as th

RESAMPLING = [
  'attention_norm.scale',
  'query_norm.scale',
  'attention.position.kernel',
  'attention.query.kernel',
  'attention.key.kernel',
  'attention.value.kernel',
  'attention.output.kernel',
  'feed_forward_norm.scale',
  'feed_forward.hidden.kernel',
  'feed_forward.output.kernel',
]
BLOCK = [name for name in RESAMPLING if name != 'query_norm.scale']


def initialised(mode='eval', length=1, **arguments):
  model = th.HourglassLM(**cases.WIDTHS, **arguments, mode=mode)
  model.init(shapes.ShapeDtype((1, length), np.int32))
  return model


def flat(model):
  return tl.flatten_weights_and_state(model.weights, ())[0]


@pytest.fixture(scope='module')
def model():
  return initialised(
    hierarchy='0@1 2@3 1@1',
    attention_upsampling_fn=th.NaiveUpsampling,
    rematerialize=True,
  )


def test_names_follow_the_structure(model):
  named = th.named_weights(model)
  assert [name for name in named if not name.endswith('.bias')] == [
    'embedding.embedding',
    'level_0.pre.norm.scale',
    *(f'level_1.shortening.{name}' for name in RESAMPLING[:6]),
    'context_bias',
    'location_bias',
    *(f'level_1.shortening.{name}' for name in RESAMPLING[6:]),
    *(f'level_1.block_{i}.{name}' for i in (0, 1) for name in BLOCK),
    'level_1.norm.scale',
    *(f'level_1.upsampling.{name}' for name in RESAMPLING),
    'level_1.upsampling.norm.scale',
    *(f'level_0.post.block_0.{name}' for name in BLOCK),
    'level_0.post.norm.scale',
    'logits.kernel',
  ]
  assert named['level_1.block_1.feed_forward.hidden.kernel'].shape == (12, 14)
  assert named['context_bias'].shape == (1, 3, 1, 4)


def test_weights_are_those_of_the_flat_list_in_its_order(model):
  for x, y in zip(th.named_weights(model).values(), flat(model), strict=True):
    assert x is y


@pytest.mark.parametrize(
  ('attention_type', 'expected'),
  [
    pytest.param(
      functools.partial(th.LSHAttention, chunk_len=4),
      ['query.kernel', 'query.bias', 'value.kernel'],
      id='lsh',
    ),
    pytest.param(
      tl.SelfAttention,
      ['query.kernel', 'key.kernel', 'value.kernel'],
      id='leaf',
    ),
    pytest.param(
      lambda *_, **__: tl.Serial(), ['feed_forward'], id='without_weights'
    ),
    pytest.param(
      tl.LowRankCausalAttention,
      ['query.dense_0.kernel', 'query.dense_0.bias', 'query.dense_1.kernel'],
      id='inner_layers',
      marks=pytest.mark.slow,
    ),
    pytest.param(
      tl.MultiplicativeConvCausalAttention,
      ['weights_0', 'weights_1', 'weights_2', 'conv_0.kernel'],
      id='unknown',
      marks=pytest.mark.slow,
    ),
  ],
)
def test_attention_types(attention_type, expected):
  arguments = {'hierarchy': '1@1', 'vanilla_attn_type': attention_type}
  named = list(th.named_weights(initialised(**arguments)))
  inside = [name.removeprefix('level_0.block_0.') for name in named[3:]]
  if expected != ['feed_forward']:
    expected = [f'attention.{name}' for name in expected]
  for name, start in zip(inside[: len(expected)], expected, strict=True):
    assert name.startswith(start)
  assert list(th.named_weights(initialised('predict', **arguments))) == named


@pytest.mark.slow
@pytest.mark.parametrize('name', fingerprints.MODELS)
def test_every_model_has_the_same_names_in_each_mode(name):
  train, evaluated, cached = (
    fingerprints.build(name, mode, 1 if mode == 'predict' else 24)[0]
    for mode in ('train', 'eval', 'predict')
  )
  named = th.named_weights(train)
  assert len(named) == len(flat(train))
  assert list(th.named_weights(evaluated)) == list(named)
  assert list(th.named_weights(cached)) == list(named)


def test_each_shorten_factor_has_the_same_names():
  average = {
    'downsampling_fn': th.AveragePooling,
    'upsampling_fn': th.NaiveUpsampling,
  }
  drawn, plain = (
    initialised(hierarchy=f'0@1 0@{factor} 0@1', **average)
    for factor in ('{2,3}', '4')
  )
  assert list(th.named_weights(drawn)) == list(th.named_weights(plain))


def test_an_hourglass_inside_another_model():
  model = tl.Serial(
    tl.Embedding(5, 4),
    th.Hourglass(4, 6, n_heads=2, hierarchy='1@1', mode='eval'),
    tl.Dense(3),
    tl.Dense(2),
  )
  model.init(shapes.ShapeDtype((1, 2), np.int32))
  named = th.named_weights(model)
  assert len(named) == len(flat(model))
  assert list(named)[-1] == 'dense_1.bias'
  assert {
    'embedding_0.embedding',
    'hourglass_0.context_bias',
    'hourglass_0.level_0.block_0.attention.key.kernel',
    'dense_0.kernel',
  } < set(named)


def test_an_accelerated_model_has_the_names_of_the_model(model):
  named = th.named_weights(tl.Accelerate(model, n_devices=1))
  assert list(named) == list(th.named_weights(model))


def test_attention_with_biases_of_its_own():
  def attention_type(d_model, n_heads, mode, **_):
    return th.RelativeAttention(d_model, n_heads, mode=mode)

  model = initialised(hierarchy='2@1', vanilla_attn_type=attention_type)
  named = th.named_weights(model)
  assert len(named) == len(flat(model))
  assert {'context_bias', 'level_0.block_1.attention.context_bias'} < set(named)


def test_set_gives_the_weights_to_another_mode(model):
  cached = initialised(
    'predict',
    hierarchy='0@1 2@3 1@1',
    attention_upsampling_fn=th.NaiveUpsampling,
  )
  th.set_named_weights(cached, th.named_weights(model))
  for x, y in zip(flat(cached), flat(model), strict=True):
    assert x is y


@pytest.mark.parametrize(
  ('change', 'line'),
  [
    ({'logits.bias': None}, 'weights: got no logits.bias; give the weights of'),
    ({'logit.bias': np.zeros(13)}, 'weights: got an unknown logit.bias; give'),
    (
      {'logits.bias': np.zeros(14)},
      'weights: logits.bias has shape (14,), expected (13,); give the weights',
    ),
  ],
)
def test_set_takes_no_other_weights(model, change, line):
  before = flat(model)
  changed = {**th.named_weights(model), **change}
  with pytest.raises(th.UserError) as error_info:
    th.set_named_weights(
      model, {name: x for name, x in changed.items() if x is not None}
    )
  assert str(error_info.value).startswith(line)
  assert all(x is y for x, y in zip(flat(model), before, strict=True))


def test_needs_an_initialised_model():
  with pytest.raises(th.UserError, match='HourglassLM: got a model without'):
    th.named_weights(th.HourglassLM(**cases.WIDTHS, hierarchy='0@1'))
