"""Models initialised in little time, with the keys of JAX."""

import jax
import numpy as np
import pytest
from trax import fastmath, shapes
from trax import layers as tl
from trax.fastmath import jax as jax_backend

from trax_hourglass.models import HourglassLM
from trax_hourglass.runtime import initialising


def test_a_nested_layer_is_traced_once():
  calls = []

  def halves(x):
    calls.append(x.shape)
    return x[:, ::2], x[:, 1::2]

  layer = tl.Fn('Halves', halves, n_out=2)
  for _ in range(5):
    layer = tl.Serial(layer)
  model = tl.Serial(
    tl.Dense(6), layer, tl.Parallel(tl.Dense(4), tl.Serial(tl.Dense(5)))
  )
  signature = shapes.ShapeDtype((2, 7), np.float32)
  model.init(signature)
  assert calls == [(2, 6)]
  outputs = model(np.zeros((2, 7), np.float32))
  assert model.output_signature(signature) == shapes.signature(outputs)
  other = shapes.ShapeDtype((3, 7), np.float32)
  assert [s.shape for s in model.output_signature(other)] == [(3, 4), (3, 5)]


def test_blocks_of_a_level_are_traced_once(monkeypatch):
  traced = []
  trace = jax.eval_shape

  def counted(*args, **kwargs):
    traced.append(args)
    return trace(*args, **kwargs)

  monkeypatch.setattr(jax, 'eval_shape', counted)

  def traces(hierarchy, mode):
    traced.clear()
    model = HourglassLM(
      7, 4, 6, n_heads=2, hierarchy=hierarchy, dropout=0.0, mode=mode
    )
    model.init(model.tokens_signature)
    return len(traced)

  for mode in ('train', 'predict'):
    few, many = traces('2@1 2@3 2@1', mode), traces('2@1 5@3 4@1', mode)
    assert few == many


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_all_weights_are_there_after_an_attempt_that_failed(error):
  def check(x):
    if x.ndim > 2:
      raise error
    return x

  model = tl.Serial(tl.Serial(tl.Dense(3)), tl.Fn('Check', check), tl.Dense(5))
  with pytest.raises((tl.base.LayerError, KeyboardInterrupt)):
    model.init(shapes.ShapeDtype((1, 2, 2), np.float32))
  weights, _ = model.init(shapes.ShapeDtype((1, 2), np.float32))
  assert [x.shape for x in jax.tree.leaves(weights)] == [
    (2, 3),
    (3,),
    (3, 5),
    (5,),
  ]


def test_infer_shapes_once_may_run_again():
  before = tl.base.Layer._forward_abstract
  initialising.infer_shapes_once()
  assert tl.base.Layer._forward_abstract is before


@pytest.mark.parametrize('seed', [0, 7, 2**31, 2**32 - 1, np.int32(7), -1])
def test_cheap_keys_are_those_of_jax(seed):
  expected = jax.random.PRNGKey(seed)
  key = fastmath.random.get_prng(seed)
  assert key.dtype == expected.dtype
  np.testing.assert_array_equal(key, expected)
  np.testing.assert_array_equal(
    fastmath.random.split(key, 3), jax.random.split(expected, 3)
  )


def test_other_keys_are_made_by_jax(monkeypatch):
  backend = jax_backend.JAX_BACKEND
  monkeypatch.setitem(backend, 'random_get_prng', jax.random.PRNGKey)
  monkeypatch.setitem(backend, 'random_split', jax.random.split)
  initialising.cheap_keys()
  before = jax.config.jax_default_prng_impl
  jax.config.update('jax_default_prng_impl', 'rbg')
  try:
    key = fastmath.random.get_prng(7)
    assert key.shape == (4,)
    assert fastmath.random.split(key).shape == (2, 4)
  finally:
    jax.config.update('jax_default_prng_impl', before)
  assert fastmath.random.split(jax.random.key(7)).shape == (2,)


def test_an_old_way_to_split_is_kept():
  with jax.threefry_partitionable(False):
    np.testing.assert_array_equal(
      fastmath.random.split(jax.random.PRNGKey(7)),
      jax.random.split(jax.random.PRNGKey(7)),
    )


def test_no_key_of_a_trace_stays_in_a_layer():
  layer = tl.Serial(tl.Dense(3), tl.Dropout(0.5))
  layer.weights_and_state_signature(shapes.ShapeDtype((2, 3), np.float32))
  for sublayer in layer.sublayers:
    sublayer._rng = None
  jax.eval_shape(lambda: [sublayer.rng for sublayer in layer.sublayers])
  for sublayer in layer.sublayers:
    assert isinstance(sublayer.rng, np.ndarray)
