"""The tokens that a sampler returns, with their probabilities and bits."""

from typing import NamedTuple

import numpy as np

from trax_hourglass.errors import UserError
from trax_hourglass.generation.prompts import UNKNOWN
from trax_hourglass.layers.metrics import nats_to_bits


class Sample(NamedTuple):
  """Generated tokens, without the prompt.

  Attributes:
    tokens: int32, `(batch, length)`; `UNKNOWN`, -1, after the stop string that
      ended a row.
    log_probs: float32, `(batch, length)`: natural logarithm of each token's
      probability under the model, before temperature, top-k and top-p; 0 after
      the end of a row.
  """

  tokens: np.ndarray
  log_probs: np.ndarray

  @property
  def bits(self) -> np.ndarray:
    """Bits per token of each sequence, `(batch,)`."""
    nats = -self.log_probs.sum(axis=1, dtype=np.float64)
    return nats_to_bits(nats / self.lengths)

  @property
  def lengths(self) -> np.ndarray:
    """Tokens of each sequence, `(batch,)`."""
    return (self.tokens != UNKNOWN).sum(axis=1)

  def texts(self) -> list[bytes]:
    """Returns each sequence as bytes.

    Raises:
      UserError: If a token is above 255.
    """
    highest = self.tokens.max(initial=0)
    if highest > 255:
      raise UserError(
        f'texts: got a token {highest}, expected bytes, from 0 to 255; decode '
        '`tokens` as your vocabulary does'
      )
    return [row[row >= 0].astype(np.uint8).tobytes() for row in self.tokens]
