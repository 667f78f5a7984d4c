"""Bits per byte of a language model on a text, each byte scored once."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from trax import fastmath

from trax_hourglass.data import text as text_lib
from trax_hourglass.errors import UserError
from trax_hourglass.layers import metrics

_BLOCK_BYTES = 4096


@dataclasses.dataclass(frozen=True)
class Score:
  """How well a model predicts a text.

  Attributes:
    bits_per_byte: Mean over the bytes of -log2 of the predicted probability.
    standard_error: Of `bits_per_byte`; nan for a text too short to tell.
    n_bytes: How many bytes were scored.
  """

  bits_per_byte: float
  standard_error: float
  n_bytes: int

  def __str__(self) -> str:
    return (
      f'{self.bits_per_byte:.4f} +- {self.standard_error:.4f} bits per byte '
      f'over {self.n_bytes:,} bytes'
    )


def score(
  model,
  text: np.ndarray,
  length: int,
  step: int | None = None,
  batch_size: int = 8,
  progress=None,
) -> Score:
  """Returns the bits per byte of a model on a text.

  Args:
    model: Initialised Trax layer in mode 'eval' that maps `(batch, length)`
      tokens to `(batch, length, vocab_size)` logits of the same tokens.
    text: Array of uint8.
    length: Bytes in a window.
    step: Bytes scored in a window, the last ones: see
      `data.text.scoring_windows`. By default all: chunks without context.
    batch_size: Windows in a batch.
    progress: A tqdm bar or the like: `progress.update(n)` is called for every
      `n` bytes scored.

  Raises:
    UserError: If the sizes don't fit together, or the text has bytes that the
      model has no logits for.
  """
  step = length if step is None else step
  batches = text_lib.scoring_windows(text, length, step, batch_size)
  token_nats = jax.jit(_token_nats(model, highest_token=int(text.max())))
  weights, state = jax.device_put((model.weights, model.state))
  nats = []
  for tokens, _, loss_weights in batches:
    batch_nats = np.asarray(token_nats(weights, state, tokens))
    nats.append(batch_nats[loss_weights > 0])
    if progress is not None:
      progress.update(len(nats[-1]))
  return _score(np.concatenate(nats))


def _token_nats(model, highest_token):
  """Returns a function to float32 cross-entropies, `(batch, length)`."""
  rng = fastmath.random.get_prng(0)
  # Trax makes a layer's own key when it is first read. If that were within the
  # trace, the key would stay in the model and break its next call.
  _ = model.rng

  def token_nats(weights, state, tokens):
    logits, _ = model.pure_fn(tokens, weights, state, rng)
    vocab_size = logits.shape[-1]
    if highest_token >= vocab_size:
      raise UserError(
        f'text: got a token id {highest_token}, expected ids below the '
        f"model's vocab_size {vocab_size}; score a text it was made for"
      )
    log_probs = jax.nn.log_softmax(logits.astype(jnp.float32))
    return -jnp.take_along_axis(log_probs, tokens[..., None], -1)[..., 0]

  return token_nats


def _score(nats: np.ndarray) -> Score:
  """Returns the mean of float32 `nats`, in the order of the text, in bits.

  Neighbouring bytes are not independent, so the standard error is that of the
  means of long blocks (a ratio estimate, as blocks differ by a byte).
  """
  n_bytes = len(nats)
  bits = metrics.nats_to_bits(nats.astype(np.float64))
  mean = bits.mean()
  n_blocks = n_bytes // _BLOCK_BYTES
  standard_error = np.nan
  if n_blocks > 1:
    edges = np.arange(n_blocks + 1) * n_bytes // n_blocks
    deviations = np.add.reduceat(bits - mean, edges[:-1])
    variance = np.sum(deviations**2) * n_blocks / (n_blocks - 1)
    standard_error = np.sqrt(variance) / n_bytes
  return Score(float(mean), float(standard_error), n_bytes)


def evaluator(
  text: text_lib.Text,
  split: str = 'test',
  length: int = 2048,
  step: int | None = None,
  batch_size: int = 8,
):
  """Returns a function from a model to its `Score`, with a progress bar.

  In gin files it is `trax_hourglass.evaluate`.

  Args:
    text: The text with its splits.
    split: Which of them to score.
    length: As for `score`, like everything below.
    step: Bytes scored in a window.
    batch_size: Windows in a batch.

  Raises:
    UserError: If there is no such split or the sizes don't fit together.
  """
  text_lib.check_text(text)
  tokens = text.split(split)
  step = length if step is None else step
  text_lib.scoring_windows(tokens, length, step, batch_size)  # Checks them.

  def evaluate(model) -> Score:
    with tqdm.tqdm(
      total=len(tokens),
      desc=f'{text.name}, {split}',
      unit='B',
      unit_scale=True,
      disable=None,  # Where stderr is no terminal.
    ) as bar:
      return score(model, tokens, length, step, batch_size, bar)

  return evaluate
