"""Attention in blocks against its formula: outputs, gradients, memory."""

import re

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from tests.kernels import plain_attention
from trax_hourglass.kernels import blockwise, row_blocks
from trax_hourglass.layers.attention.relative import relative_attention

# (queries, keys): one level, shortening by 3, upsampling by 3.
LENGTHS = [(29, 29), (9, 27), (27, 9)]
# Default sizes, so that all is one block; small blocks, of all heads at once;
# blocks in runs with a remainder, of one head in turn, of one sequence or all.
SIZES = {
  'whole': {},
  'blocks': {'BLOCK': 3, 'MAX_RUNS': 16},
  'heads': {'BLOCK': 4, 'MAX_RUNS': 3, '_MOST_LOGITS': 1},
  'sequences': {'BLOCK': 4, 'MAX_RUNS': 3, '_MOST_LOGITS': 300},
}
DROPOUT = 0.3


@pytest.fixture(
  params=[
    'heads',
    *(
      pytest.param(name, marks=pytest.mark.slow)
      for name in SIZES
      if name != 'heads'
    ),
  ]
)
def attention(request, monkeypatch):
  """Attention with blocks of another size, jitted."""
  for name, size in SIZES[request.param].items():
    room = blockwise if name == '_MOST_LOGITS' else row_blocks
    monkeypatch.setattr(room, name, size)
  function = blockwise.attention.__wrapped__
  return jax.jit(
    lambda *args, **kwargs: function(*args, **kwargs),
    static_argnames='dropout',
  )


def _arguments(n_q, n_k, batch=2, heads=3, d_head=5, seed=0):
  rng = np.random.default_rng(seed)

  def random(*shape):
    return rng.normal(size=shape).astype(np.float32)

  q = random(batch, heads, n_q, d_head)
  k, v = random(2, batch, heads, n_k, d_head)
  distances = random(heads, max(n_q, n_k), d_head)
  u, w = random(2, 1, heads, 1, d_head)
  return q, k, v, blockwise.Location(distances, u, w)


@pytest.mark.parametrize(
  ('n_q', 'n_k'), [(7, 7), (5, 15), (14, 7), (1, 1), (1, 3), (2, 1)]
)
def test_equals_a_plain_loop(n_q, n_k):
  q, k, v, location = _arguments(n_q, n_k)
  got = blockwise.attention(q, k, v, location)
  distances, u, w = location
  for b in range(2):
    for h in range(3):
      expected = plain_attention.loop(
        q[b, h], k[b, h], v[b, h], distances[h], u[0, h, 0], w[0, h, 0]
      )
      np.testing.assert_allclose(got[b, h], expected, atol=1e-5)


def _assert_equal(f, g, arguments):
  """Compares two functions, and their gradients with the norm of all."""
  outputs, (expected, pull_back) = f(*arguments), jax.vjp(g, *arguments)
  np.testing.assert_allclose(outputs, expected, atol=1e-5)
  dy = np.random.default_rng(1).normal(size=expected.shape).astype(np.float32)
  gradients = jax.jit(lambda *args: jax.vjp(f, *args)[1](dy))(*arguments)
  expected = jax.tree.leaves(pull_back(dy))
  norm = np.sqrt(sum(np.sum(np.square(x)) for x in expected))
  for x, y in zip(jax.tree.leaves(gradients), expected, strict=True):
    assert np.linalg.norm(x - y) < 1e-5 * norm


@pytest.mark.parametrize(
  ('n_q', 'n_k'),
  [
    (27, 9),
    pytest.param(29, 29, marks=pytest.mark.slow),
    pytest.param(9, 27, marks=pytest.mark.slow),
  ],
)
def test_documents_are_attended_to_alone(attention, n_q, n_k):
  starts, n_rows = [0, 1, 5, 7], min(n_q, n_k)
  first = np.repeat(starts, np.diff([*starts, n_rows])).astype(np.int32)
  first = np.broadcast_to(first, (2, 3, n_rows))

  def alone(q, k, v, location):
    outputs = []
    for start, end in zip(starts, [*starts[1:], n_rows], strict=True):
      parts = [
        x[:, :, start * x.shape[2] // n_rows : end * x.shape[2] // n_rows]
        for x in (q, k, v)
      ]
      n = max(x.shape[2] for x in parts)
      distances, *biases = location
      outputs.append(relative_attention(*parts, distances[:, -n:], *biases))
    return jnp.concatenate(outputs, axis=2)

  def together(*arguments):
    return attention(*arguments, first=first)

  _assert_equal(together, alone, _arguments(n_q, n_k))


@pytest.mark.parametrize(('n_q', 'n_k'), LENGTHS)
def test_equals_the_formula(attention, n_q, n_k):
  _assert_equal(
    attention,
    lambda q, k, v, location: relative_attention(q, k, v, *location),
    _arguments(n_q, n_k),
  )


def test_needs_no_location(attention):
  q, k, v, location = _arguments(13, 13)
  nothing = jax.tree.map(np.zeros_like, location)
  _assert_equal(
    attention, lambda q, k, v: relative_attention(q, k, v, *nothing), (q, k, v)
  )


@pytest.mark.parametrize(('n_q', 'n_k'), [(13, 13), (12, 6)])
def test_dropout_has_one_mask_in_both_directions(attention, n_q, n_k):
  q, k, _, location = _arguments(n_q, n_k, d_head=n_k)
  rng = jax.random.PRNGKey(3)

  def dropped(q, k, v, location):
    return attention(q, k, v, location, dropout=DROPOUT, rng=rng)

  # With unit vectors as values, outputs are the attention weights.
  weights = dropped(q, k, np.broadcast_to(np.eye(n_k), k.shape), location)
  keep = weights != 0

  def plain(q, k, v, location):
    return relative_attention(q, k, v, *location, kept=keep / (1 - DROPOUT))

  _, _, v, _ = _arguments(n_q, n_k, d_head=n_k, seed=2)
  _assert_equal(dropped, plain, (q, k, v, location))
  again = attention(q, k, v, location, dropout=DROPOUT, rng=jax.random.key(4))
  assert np.abs(dropped(q, k, v, location) - again).max() > 0.1


def test_gradients_with_dropout_are_finite_differences():
  arguments = _arguments(8, 8)
  rng = np.random.default_rng(5)
  direction = jax.tree.map(
    lambda x: rng.normal(size=x.shape).astype(np.float32), arguments
  )

  def loss(t):
    moved = jax.tree.map(lambda x, d: x + t * d, arguments, direction)
    y = blockwise.attention(*moved, dropout=DROPOUT, rng=jax.random.PRNGKey(0))
    return jnp.sum(jnp.sin(y))

  slope = (loss(1e-2) - loss(-1e-2)) / 2e-2
  np.testing.assert_allclose(jax.grad(loss)(0.0), slope, rtol=1e-2)


def test_dropout_drops_the_rate_and_keeps_the_mean():
  n, rate = 64, 0.25
  zeros = np.zeros((1, 1, n, 2), np.float32)
  ones = np.ones((1, 1, n, 2), np.float32)
  y = np.asarray(
    blockwise.attention(
      zeros, zeros, ones, dropout=rate, rng=jax.random.PRNGKey(0)
    )
  )
  # Row i is the share of its i + 1 equal weights that is kept, over 1 - rate.
  assert abs(y[0, 0, n // 2 :].mean() - 1) < 0.03
  assert y[0, 0, 0, 0] in (0, np.float32(1 / (1 - rate)))
  assert len(np.unique(y)) > n // 4


def test_bfloat16_remains():
  arguments = jax.tree.map(
    lambda x: jnp.asarray(x, jnp.bfloat16), _arguments(7, 7)
  )
  y, pull_back = jax.vjp(blockwise.attention, *arguments)
  for x in (y, *jax.tree.leaves(pull_back(y))):
    assert x.dtype == jnp.bfloat16


def test_memory_grows_with_the_length():
  def temporary(length):
    arguments = _arguments(length, length, batch=1, heads=2, d_head=8)
    gradient = jax.grad(lambda *args: jnp.sum(blockwise.attention(*args)))
    compiled = jax.jit(gradient).lower(*arguments).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  short, long = temporary(1024), temporary(4096)
  assert long < 4.4 * short
  assert long < 4 * 4096**2 / 2  # Half of the logits of one head.


@pytest.mark.parametrize('platform', ['cpu', 'cuda', 'tpu'])
def test_takes_heads_in_turn_on_a_cpu_alone(platform, monkeypatch):
  monkeypatch.setattr(blockwise, '_MOST_LOGITS', 1)

  def loss(*args):
    return jnp.sum(blockwise.attention.__wrapped__(*args))

  exported = jax.export.export(jax.jit(jax.grad(loss)), platforms=[platform])
  program = exported(*_arguments(9, 27)).mlir_module()
  assert ('stablehlo.while' in program) == (platform == 'cpu')


@pytest.mark.skipif(jax.default_backend() != 'cpu', reason='for CPUs')
@pytest.mark.parametrize(('length', 'size'), [(16, '8'), (24, '4')])
def test_blocks_are_smaller_where_rows_see_many_keys(monkeypatch, length, size):
  monkeypatch.setattr(row_blocks, 'BLOCK', 8)
  monkeypatch.setattr(blockwise, '_MOST_LOGITS', 4 * 8 * 16)
  arguments = _arguments(length, length, batch=1, heads=5)
  function = blockwise.attention.__wrapped__
  text = jax.jit(lambda *args: function(*args)).lower(*arguments).as_text()
  weights = r'stablehlo.exponential .*tensor<1x(\d+)x\d+xf32>'
  assert set(re.findall(weights, text)) == {size}
