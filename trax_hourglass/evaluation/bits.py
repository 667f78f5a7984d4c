"""Bits per byte of a text, bits per dim of images: each token scored once."""

from collections.abc import Iterable, Iterator, Sequence
import dataclasses
import math

import jax
import numpy as np
from trax import fastmath

from trax_hourglass.data import images as images_lib
from trax_hourglass.data import streams, windows
from trax_hourglass.data import text as text_lib
from trax_hourglass.distribution import devices
from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.layers import metrics
from trax_hourglass.layers.attention.types import is_strictly_causal
from trax_hourglass.layers.basic import restored_on_error
from trax_hourglass.layers.checks import check_tokens
from trax_hourglass.models.cached import check_ready

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
      4096 bytes or two images were scored.
    n: Number of bytes or images scored.
    unit: 'bits per byte' or 'bits per dim'.
    of: What `n` counts, such as 'bytes' or 'images of ImageNet32'.
    note: A reservation about the model.
    source: The name of the text or images, and of the split.
    each: float32 bits of each byte, or bits per dim of each image, in order.
  """

  bits: float
  standard_error: float
  n: int
  unit: str = text_lib.Text.unit
  of: str = 'bytes'
  note: str | None = None
  source: str | None = None
  each: np.ndarray | None = dataclasses.field(
    default=None, repr=False, compare=False
  )

  def __str__(self) -> str:
    note = f' ({self.note})' if self.note else ''
    error = self.standard_error
    error = 'n/a' if math.isnan(error) else f'{error:.4f}'
    return (
      f'{self.bits:.4f} +- {error} {self.unit} over {self.n:,} {self.of}{note}'
    )


def caveat(model) -> str | None:
  """Returns a note on the model's figures if it has LSH layers, else `None`.

  The probability that such a model gives a token depends on later tokens too.
  """
  return None if is_strictly_causal(model) else _LSH_CAVEAT


def score(
  model,
  text: np.ndarray,
  length: int,
  step: int | None = None,
  batch_size: int = 8,
  progress=None,
  edges: Sequence[int] | None = None,
) -> Score:
  """Returns the bits per byte of a model on a text.

  Args:
    model: Initialised Trax layer in mode 'eval' that maps `(batch, length)`
      tokens to `(batch, length, vocab_size)` logits of the same tokens.
    text: Array of uint8.
    length: Bytes in a window.
    step: Bytes scored at the end of each window, as for `scoring_windows`.
    batch_size: Windows in a batch.
    progress: A tqdm bar or the like: `progress.update(n)` is called after every
      `n` bytes.
    edges: The documents of the text, each scored alone, as for
      `scoring_windows`.

  Raises:
    UserError: If the sizes don't fit together, the text has bytes outside the
      model's vocabulary, or the model is in mode 'predict'.
  """
  batches = windows.scoring_windows(text, length, step, batch_size, edges)
  nats = _token_nats(model, batches, 'text', int(text.max()))
  of = 'bytes'
  if edges is not None:
    n = np.count_nonzero(np.diff(edges))
    of += f' of {n:,} documents' if n > 1 else ' of a document'
  return Score(**_bits(nats, _BLOCK_BYTES, progress), of=of, note=caveat(model))


def score_images(
  model,
  images: np.ndarray,
  batch_size: int = 8,
  name: str | None = None,
  progress=None,
) -> Score:
  """Returns the bits per dim of a model on images, each scored once.

  Args:
    model: As for `score`, of sub-pixels.
    images: Array of uint8, `(n, height, width, 3)`.
    batch_size: Images in a batch.
    name: The name of the set of images.
    progress: As for `score`, in images.

  Raises:
    UserError: If there are no images, the batch size is not positive, or the
      images have values outside the model's vocabulary.
  """
  check_positive(batch_size=batch_size)
  if not len(images):
    raise UserError('images: got none, expected at least one')
  batches = images_lib.scoring_batches(images, batch_size)
  nats = (
    batch.reshape(-1, images[0].size).mean(axis=1, dtype=np.float64)
    for batch in _token_nats(model, batches, 'images', int(images.max()))
  )
  return Score(
    **_bits(nats, 1, progress),
    unit=images_lib.Images.unit,
    of=f'images of {name}' if name else 'images',
    note=caveat(model),
  )


def _token_nats(
  model, batches: Iterable[streams.Batch], what: str, highest_token: int
) -> Iterator[np.ndarray]:
  """Yields the float32 cross-entropies of the tokens with weight, by batch."""
  check_ready(model, 'eval')
  rng = fastmath.random.get_prng(0)
  # Trax makes a layer's key when it is first read. Made while tracing, it would
  # stay in the model as a tracer and break the next call.
  _ = model.rng

  def token_nats(weights, state, tokens):
    with restored_on_error(model):
      logits, _ = model.pure_fn(tokens, weights, state, rng)
    check_tokens(highest_token, logits.shape[-1], what)
    return devices.gather(-metrics.token_log_probs(logits, tokens))

  whole, shared = devices.REPLICATED, devices.SHARDED
  token_nats = devices.on_each(token_nats, (whole, whole, shared))
  weights, state = devices.replicate((model.weights, model.state))
  for tokens, _, loss_weights in batches:
    n_missing = -len(tokens) % jax.device_count()
    filled = np.pad(tokens, [(0, n_missing), (0, 0)])
    nats = token_nats(weights, state, devices.shard(filled))
    yield np.asarray(nats)[: len(tokens)][loss_weights > 0]


def _bits(batches: Iterable[np.ndarray], block: int, progress) -> dict:
  """Returns the bits of all nats, their mean, its standard error, their number.

  Neighbouring bytes are not independent, so the error is estimated from the
  means of blocks, as a ratio, since their lengths may differ by one.
  """
  nats = []
  for batch in batches:
    nats.append(batch)
    if progress is not None:
      progress.update(len(batch))
  bits = metrics.nats_to_bits(np.concatenate(nats).astype(np.float64))
  mean = bits.mean()
  n_blocks = len(bits) // block
  standard_error = np.nan
  if n_blocks > 1:
    starts = np.arange(n_blocks) * len(bits) // n_blocks
    deviations = np.add.reduceat(bits - mean, starts)
    variance = np.sum(deviations**2) * n_blocks / (n_blocks - 1)
    standard_error = np.sqrt(variance) / len(bits)
  return {
    'bits': float(mean),
    'standard_error': float(standard_error),
    'n': len(bits),
    'each': bits.astype(np.float32),
  }
