"""Metrics of a language model for Trax's loop, and the units of figures."""

import dataclasses
import math

import jax
from jax import numpy as jnp
from trax import layers as tl


def nats_to_bits(nats):
  return nats / math.log(2)


def token_log_probs(logits, tokens):
  """Returns float32 natural logarithms of the probabilities of tokens.

  Args:
    logits: `(..., vocab_size)`.
    tokens: Integers, `(...)`, like what is returned.
  """
  logits = logits.astype(jnp.float32)
  # Not `log_softmax`, which is another array of the size of the logits.
  chosen = jnp.take_along_axis(logits, tokens[..., None], axis=-1)[..., 0]
  return chosen - jax.nn.logsumexp(logits, axis=-1)


def BitsPerByte():
  """Returns a layer that maps (logits, targets, weights) to a scalar.

  The weighted mean cross-entropy in bits; shapes are those of
  `tl.WeightedCategoryCrossEntropy`.
  """
  return _bits('BitsPerByte')


def BitsPerDim():
  """Returns a layer that maps (logits, targets, weights) to a scalar.

  `BitsPerByte`, by the name that figures of images have.
  """
  return _bits('BitsPerDim')


def _bits(name):
  return tl.Serial(
    tl.WeightedCategoryCrossEntropy(),
    tl.Fn('NatsToBits', nats_to_bits),
    name=name,
  )


@dataclasses.dataclass(frozen=True)
class Measure:
  """The unit of figures in bits, and the remarks to print with them.

  Attributes:
    unit: 'bits per byte' of a text, 'bits per dim' of images.
    source: The set of images: figures on different sets don't compare.
    note: A reservation about the model, see `evaluation.caveat`.
  """

  unit: str = 'bits per byte'
  source: str | None = None
  note: str | None = None

  @property
  def metric(self) -> str:
    """The unit's name in `train.metrics`: 'bits_per_byte' or 'bits_per_dim'."""
    return self.unit.replace(' ', '_')

  @property
  def remarks(self) -> str:
    """' [source; note]', to print after a figure; '' if there is neither."""
    remarks = '; '.join(filter(None, (self.source, self.note)))
    return remarks and f' [{remarks}]'
