"""Bits per byte of a text, bits per dim of images: each token scored once."""

from collections.abc import Iterable, Iterator
import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from trax import fastmath

from trax_hourglass.data import images as images_lib
from trax_hourglass.data import streams
from trax_hourglass.data import text as text_lib
from trax_hourglass.distribution import devices
from trax_hourglass.errors import check_positive
from trax_hourglass.layers import metrics
from trax_hourglass.layers.checks import check_tokens

_BLOCK_BYTES = 4096

_LSH_CAVEAT = (
  'LSH attention is not strictly autoregressive: its sorting lets later tokens '
  'in'
)


@dataclasses.dataclass(frozen=True)
class Score:
  """How well a model predicts a text or images.

  Attributes:
    bits: Mean over the tokens of -log2 of the predicted probability.
    standard_error: Of `bits`; nan, printed as n/a, if fewer than two blocks of
      bytes or two images were scored.
    n: How many bytes or images were scored.
    unit: 'bits per byte' or 'bits per dim'.
    of: What was counted, images with the name of their set.
    note: A reservation about the model.
    source: The name of the text or images, and of the split.
  """

  bits: float
  standard_error: float
  n: int
  unit: str = 'bits per byte'
  of: str = 'bytes'
  note: str | None = None
  source: str | None = None

  def __str__(self) -> str:
    note = f' ({self.note})' if self.note else ''
    error = self.standard_error
    error = 'n/a' if math.isnan(error) else f'{error:.4f}'
    return (
      f'{self.bits:.4f} +- {error} {self.unit} over {self.n:,} {self.of}{note}'
    )


def caveat(model) -> str | None:
  """Returns what has to stand beside each figure of a model; mostly nothing.

  Args:
    model: Trax layer. With LSH attention anywhere in it, what it predicts for a
      token depends on later tokens too.
  """
  names = (model.name, type(model).__name__)
  if any('LSH' in name for name in names):
    return _LSH_CAVEAT
  return next(filter(None, map(caveat, model.sublayers)), None)


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
  nats = []
  for batch_nats in _token_nats(model, batches, 'text', int(text.max())):
    nats.append(batch_nats)
    if progress is not None:
      progress.update(len(batch_nats))
  bits = metrics.nats_to_bits(np.concatenate(nats).astype(np.float64))
  mean, standard_error = _of_blocks(bits)
  return Score(mean, standard_error, len(bits), note=caveat(model))


def score_images(
  model,
  images: np.ndarray,
  batch_size: int = 8,
  name: str | None = None,
  progress=None,
) -> Score:
  """Returns the bits per dim of a model on images, each scored once.

  Args:
    model: As for `score`, on sequences of sub-pixels.
    images: Array of uint8, `(n, height, width, 3)`.
    batch_size: Images in a batch.
    name: Which set of images it is.
    progress: As for `score`, updated for every `n` images.

  Raises:
    UserError: If the batch size is not positive, or the images have values that
      the model has no logits for.
  """
  check_positive(batch_size=batch_size)
  batches = images_lib.scoring_batches(images, batch_size)
  n_dims = images[0].size
  nats = []
  for batch_nats in _token_nats(model, batches, 'images', int(images.max())):
    nats.append(batch_nats.reshape(-1, n_dims).mean(axis=1, dtype=np.float64))
    if progress is not None:
      progress.update(len(nats[-1]))
  bits = metrics.nats_to_bits(np.concatenate(nats))
  standard_error = np.nan
  if len(bits) > 1:
    standard_error = bits.std(ddof=1) / np.sqrt(len(bits))
  return Score(
    float(bits.mean()),
    float(standard_error),
    len(bits),
    unit='bits per dim',
    of=f'images of {name}' if name else 'images',
    note=caveat(model),
  )


def _token_nats(
  model, batches: Iterable[streams.Batch], what: str, highest_token: int
) -> Iterator[np.ndarray]:
  """Yields the float32 cross-entropies of each batch's tokens that count."""
  rng = fastmath.random.get_prng(0)
  # Trax makes a layer's own key when it is first read. If that were within the
  # trace, the key would stay in the model and break its next call.
  _ = model.rng

  def token_nats(weights, state, tokens):
    logits, _ = model.pure_fn(tokens, weights, state, rng)
    check_tokens(highest_token, logits.shape[-1], what)
    log_probs = jax.nn.log_softmax(logits.astype(jnp.float32))
    nats = -jnp.take_along_axis(log_probs, tokens[..., None], -1)[..., 0]
    return devices.gather(nats)

  whole, shared = devices.WHOLE, devices.SHARED
  token_nats = devices.on_each(token_nats, (whole, whole, shared))
  weights, state = devices.replicate((model.weights, model.state))
  for tokens, _, loss_weights in batches:
    n_missing = -len(tokens) % jax.device_count()
    filled = np.pad(tokens, [(0, n_missing), (0, 0)])
    nats = token_nats(weights, state, devices.share_out(filled))
    yield np.asarray(nats)[: len(tokens)][loss_weights > 0]


def _of_blocks(bits: np.ndarray) -> tuple[float, float]:
  """Returns the mean of `bits`, in the order of the text, and its error.

  Neighbouring bytes are not independent, so the standard error is that of the
  means of long blocks (a ratio estimate, as blocks differ by a byte).
  """
  n_bytes = len(bits)
  mean = bits.mean()
  n_blocks = n_bytes // _BLOCK_BYTES
  standard_error = np.nan
  if n_blocks > 1:
    edges = np.arange(n_blocks + 1) * n_bytes // n_blocks
    deviations = np.add.reduceat(bits - mean, edges[:-1])
    variance = np.sum(deviations**2) * n_blocks / (n_blocks - 1)
    standard_error = np.sqrt(variance) / n_bytes
  return float(mean), float(standard_error)
