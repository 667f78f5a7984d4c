"""Rows of a sample that end with a stop string."""

from collections.abc import Iterator, Sequence

import numpy as np

from trax_hourglass.errors import UserError
from trax_hourglass.generation.prompts import UNKNOWN


def stop_strings(stop: bytes | Sequence[bytes]) -> tuple[bytes, ...]:
  """Returns stop strings as a tuple.

  Raises:
    UserError: If one is empty, or is not bytes.
  """
  stops = (stop,) if isinstance(stop, bytes) else tuple(stop)
  for one in stops:
    if not (isinstance(one, bytes) and one):
      raise UserError(f'stop: got {one!r}, expected bytes, at least one')
  return stops


def until_stopped(
  parts: Iterator[tuple[np.ndarray, np.ndarray]], stops: tuple[bytes, ...]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Yields parts of a sample until all rows have generated a stop string.

  Args:
    parts: Tokens and log-probabilities, each `(batch, n)`. After the end of a
      row these are replaced by `UNKNOWN` and 0.
    stops: Strings; the first one in a row ends it, and is part of it.
  """
  # A token is a character here, whatever the size of the vocabulary.
  stops = [stop.decode('latin-1') for stop in stops]
  kept = max(map(len, stops), default=1) - 1
  tails, has_ended = {}, set()
  for tokens, log_probs in parts:
    tokens, log_probs = tokens.copy(), log_probs.copy()
    for i, row in enumerate(tokens):
      tail = tails.get(i, '')
      text = tail + ''.join(map(chr, row))
      ends = [text.find(x) + len(x) - len(tail) for x in stops if x in text]
      end = 0 if i in has_ended else min(ends, default=len(row))
      if ends:
        has_ended.add(i)
      tails[i] = text[max(0, len(text) - kept) :]
      tokens[i, end:] = UNKNOWN
      log_probs[i, end:] = 0
    if len(has_ended) == len(tokens):
      n = (tokens != UNKNOWN).sum(axis=1).max()
      yield tokens[:, :n], log_probs[:, :n]
      return
    yield tokens, log_probs
