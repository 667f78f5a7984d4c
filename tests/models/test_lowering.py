"""Every step lowers for every platform, without its devices."""

import jax
from jax import export
import numpy as np
import pytest
from trax import shapes

from trax_hourglass import HourglassLM
from trax_hourglass.kernels import blockwise
from trax_hourglass.lab.benchmarks import steps

BATCH = tuple(np.ones((3, 2, 7), np.int32))


def _model(mode):
  return HourglassLM(
    vocab_size=13,
    d_model=12,
    d_ff=14,
    n_heads=3,
    hierarchy='0@1 2@2 0@1',
    dropout=0.1,
    mode=mode,
  )


def _predict(build, batch):
  """Returns a call with one token, as `steps` returns its work."""
  tokens = batch[0][:, :1]
  model = build('predict')
  model.init(shapes.signature(tokens))

  def function(weights, state, tokens, rng):
    return model.pure_fn(tokens, weights, state, rng)

  arguments = model.weights, model.state, tokens, jax.random.PRNGKey(0)
  return steps.Work(function, arguments, donated=(1,))


@pytest.fixture(
  scope='module', params=[steps.training_step, steps.forward, _predict]
)
def work(request):
  *tokens, loss_weights = BATCH
  batch = *tokens, loss_weights.astype(np.float32)
  with pytest.MonkeyPatch.context() as monkeypatch:
    # Heads are taken in turn on a CPU, and all at once elsewhere.
    monkeypatch.setattr(blockwise, '_MOST_LOGITS', 1)
    work = request.param(_model, batch)
    yield jax.jit(work.function, donate_argnums=work.donated), work.arguments


@pytest.mark.parametrize('platform', ['cpu', 'cuda', 'tpu'])
def test_lowers(work, platform):
  function, arguments = work
  exported = export.export(function, platforms=[platform])(*arguments)
  assert exported.platforms == (platform,)
  assert 'stablehlo.dot_general' in exported.mlir_module()
