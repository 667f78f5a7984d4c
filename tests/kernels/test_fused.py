"""Attention by JAX's own: the code for cuDNN, run by XLA, and its lowering."""

import functools

import jax
from jax import numpy as jnp
from jax._src.cudnn import fused_attention_stablehlo
import numpy as np
import pytest

from tests.kernels.test_blockwise import LENGTHS, _arguments, _assert_equal
from trax_hourglass.errors import UserError
from trax_hourglass.kernels import blockwise, derivatives, fused, row_blocks
from trax_hourglass.layers.attention.relative import relative_attention

by_xla = functools.partial(fused.attention, implementation='xla')
auto = functools.partial(fused.attention, implementation='auto')


@pytest.fixture
def small_blocks(monkeypatch):
  """Blocks in a loop, and a rest."""
  monkeypatch.setattr(fused, 'BLOCK', 4)
  monkeypatch.setattr(row_blocks, 'MAX_RUNS', 1)


@pytest.fixture
def with_cudnn(monkeypatch):
  """Lets JAX lower for cuDNN without having it."""
  monkeypatch.setattr(
    fused_attention_stablehlo, 'check_cudnn_version', lambda: 91000
  )


def _bfloat16(arguments):
  return jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), arguments)


@pytest.mark.parametrize(('n_q', 'n_k'), LENGTHS)
def test_equals_the_formula(small_blocks, n_q, n_k):
  _assert_equal(
    jax.jit(by_xla),
    lambda q, k, v, location: relative_attention(q, k, v, *location),
    _arguments(n_q, n_k),
  )


def test_without_a_location_equals_the_formula():
  q, k, v, location = _arguments(13, 13)
  nothing = jax.tree.map(np.zeros_like, location)
  _assert_equal(
    jax.jit(by_xla),
    lambda q, k, v: relative_attention(q, k, v, *nothing),
    (q, k, v),
  )


@pytest.mark.parametrize(('n_q', 'n_k'), LENGTHS)
def test_bfloat16_is_close_to_float32(small_blocks, n_q, n_k):
  halves = _bfloat16(_arguments(n_q, n_k))
  exact = jax.tree.map(lambda x: x.astype(jnp.float32), halves)
  dy = jnp.ones_like(exact[0])

  @functools.partial(jax.jit, static_argnums=0)
  def outputs_and_gradients(attend, arguments, dy):
    y, pull_back = jax.vjp(attend, *arguments)
    return y, pull_back(dy)

  expected = outputs_and_gradients(blockwise.attention, exact, dy)
  got = outputs_and_gradients(by_xla, halves, _bfloat16(dy))
  for x, y in zip(*map(jax.tree.leaves, (expected, got)), strict=True):
    assert y.dtype == jnp.bfloat16
    error = np.abs(y.astype(np.float32) - x).max()
    assert error < 0.02 * np.abs(x).max()


def _sizes(jaxpr):
  """Yields the sizes of all arrays that a program makes."""
  for equation in jaxpr.eqns:
    yield from (x.aval.size for x in equation.outvars)
    for x in jax.tree.leaves(tuple(equation.params.values())):
      if hasattr(getattr(x, 'jaxpr', x), 'eqns'):
        yield from _sizes(getattr(x, 'jaxpr', x))


def test_memory_grows_with_the_length(monkeypatch):
  monkeypatch.setattr(fused, 'BLOCK', 32)

  def largest(length):
    gradient = jax.grad(lambda *args: jnp.sum(by_xla(*args)))
    return max(_sizes(jax.make_jaxpr(gradient)(*_arguments(length, length))))

  assert largest(2048) <= 4 * largest(512)


@pytest.mark.parametrize('location', [True, False])
def test_is_lowered_to_cudnn_for_cuda_alone(with_cudnn, small_blocks, location):
  q, k, v, where = _bfloat16(_arguments(13, 13, d_head=8))
  arguments = (q, k, v, where) if location else (q, k, v)
  names = ['ScaleBiasSoftmax', 'ScaleBiasSoftmaxBackward']
  if not location:
    names = ['Softmax', 'SoftmaxBackward']
  calls = [f'__cudnn$fmha{name}' for name in names]

  def loss(*args):
    return jnp.sum(auto(*args).astype(jnp.float32))

  def program(platform, arguments):
    gradient = jax.jit(jax.value_and_grad(loss))
    return jax.export.export(
      gradient,
      platforms=[platform],
      disabled_checks=map(jax.export.DisabledSafetyCheck.custom_call, calls),
    )(*arguments).mlir_module()

  on_cuda = program('cuda', arguments)
  assert all(f'@{call}(' in on_cuda for call in calls)
  in_float32 = jax.tree.map(lambda x: x.astype(jnp.float32), arguments)
  assert '__cudnn' not in program('cuda', in_float32)
  assert '__cudnn' not in program('cpu', arguments)


def test_auto_takes_blockwise_where_cudnn_cannot_run(with_cudnn):
  dropped = {'dropout': 0.3, 'rng': jax.random.PRNGKey(0)}
  arguments = _bfloat16(_arguments(5, 5))  # 5 is no head size of cuDNN's.
  for options in ({}, dropped):
    np.testing.assert_array_equal(
      auto(*arguments, **options), blockwise.attention(*arguments, **options)
    )


def test_what_cannot_be_computed_is_refused(monkeypatch, request):
  exact = _arguments(5, 5)

  def refused(attend, message, arguments=exact, **options):
    with pytest.raises(UserError, match=message) as e:
      attend(*arguments, **options)
    assert '\n' not in str(e.value)

  by_cudnn = functools.partial(fused.attention, implementation='cudnn')
  refused(by_xla, "'xla': got dropout 0.1", dropout=0.1)
  refused(by_cudnn, 'got float32 activations')
  halves = _bfloat16(exact)
  refused(by_cudnn, "got 'cpu', but it needs an NVIDIA GPU", halves)
  with derivatives.forward_mode():
    refused(by_xla, 'forward mode')
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  refused(by_cudnn, 'cuDNN is not detected; expected', halves)
  request.getfixturevalue('with_cudnn')
  refused(by_cudnn, 'multiple of 8, but got 5', halves)
