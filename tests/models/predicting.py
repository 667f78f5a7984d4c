"""Models in mode 'predict' as jitted functions, and in 'eval' to compare."""

import jax
import numpy as np
from trax import layers as tl

from tests import trax_tools
import trax_hourglass as th

VOCAB_SIZE = 13
WIDTHS = {'vocab_size': VOCAB_SIZE, 'd_model': 12, 'd_ff': 14, 'n_heads': 3}


class Predicting:
  """A model in mode 'predict', traced and not initialised.

  Attributes:
    signature: Of weights and state.
    start: The first state. All of it is zero.
  """

  def __init__(self, model, batch=1):
    self.signature = model.weights_and_state_signature(
      trax_tools.tokens_signature(1, batch)
    )
    self.start = jax.tree.map(
      lambda s: np.zeros(s.shape, s.dtype), self.signature[1]
    )
    _ = model.rng  # Made when first read: not within a trace.

    def call(flat_weights, state, tokens):
      _, flat_state = tl.flatten_weights_and_state((), state)
      weights, _ = tl.unflatten_weights_and_state(
        flat_weights, flat_state, self.signature
      )
      y, new = model.pure_fn(tokens, weights, state, jax.random.PRNGKey(0))
      # Some layers of Trax rename their state when they first run.
      structure = jax.tree.structure(state)
      return y, jax.tree.unflatten(structure, jax.tree.leaves(new))

    def one_by_one(flat_weights, state, tokens):
      def step(state, token):
        y, state = call(flat_weights, state, token[:, None])
        return state, y[:, 0]

      state, y = jax.lax.scan(step, state, tokens.T)
      return y.swapaxes(0, 1), state

    self.call = jax.jit(call)
    self.one_by_one = jax.jit(one_by_one)

  @property
  def shapes(self):
    weights, _ = tl.flatten_weights_and_state(*self.signature)
    return [w.shape for w in weights]


def pair(length, batch=1, max_inference_length=None, **arguments):
  """Returns a model in mode 'eval' and the same in mode 'predict'."""
  arguments = WIDTHS | arguments
  evaluated = th.HourglassLM(**arguments, dropout=0.1, mode='eval')
  predicting = th.HourglassLM(
    **arguments,
    dropout=0.1,
    mode='predict',
    max_inference_length=max_inference_length or length,
  )
  return (
    trax_tools.Jitted(evaluated, trax_tools.tokens_signature(length, batch)),
    Predicting(predicting, batch),
  )


def tokens(length, batch=1, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(VOCAB_SIZE, size=(batch, length)).astype(np.int32)


def fed(tokens):
  """Returns the inputs of mode 'predict': the start symbol, then tokens."""
  return np.pad(tokens, ((0, 0), (1, 0)))[:, :-1]
