"""Prompts of any lengths as rows of one batch.

All rows of a model's state are at the same position. So that prompts of
different lengths end together, the shorter ones start later, each by a multiple
of the model's groups, which rows then complete at the same time; see
`kernels.cached.starts`. The tokens left over at the end of a prompt, fewer than
a group, go through the loop of tokens, as do short prompts, and those of models
whose layers know of no starts: a row whose prompt is over draws meanwhile.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trax_hourglass.errors import UserError

UNKNOWN = -1  # Marks a token that is to be drawn.
START = 0  # The token that precedes every sequence, as in Trax.

Prompt = np.ndarray | bytes
Prompts = Prompt | Sequence[Prompt] | None


class Rows(NamedTuple):
  """Prompts side by side.

  Attributes:
    tokens: int32, `(batch, length)`: start token and prompt of each row from
      its start on; `START` before that, `UNKNOWN` after it.
    n_read: Tokens of all rows that go through the model in one pass, at most
      those before the last one of any prompt.
    starts: Where each row starts, int32, `(batch,)`; `None` where all do at 0.
    lead: Tokens of each row that are known after the first `n_read + 1`,
      `(batch,)`.
  """

  tokens: np.ndarray
  n_read: int
  starts: np.ndarray | None
  lead: np.ndarray


def rows(prompts: Prompts) -> list[np.ndarray]:
  """Returns each prompt as int32 tokens, `(length,)`.

  Args:
    prompts: Bytes, or tokens, `(length,)` or `(n, length)`; or a list of bytes
      and of tokens, `(length,)`, of any lengths; or `None`, an empty prompt.

  Raises:
    UserError: If they are anything else.
  """
  if prompts is None:
    prompts = b''
  if isinstance(prompts, list | tuple):
    prompts = [_tokens(x) for x in prompts]
    if len(set(map(np.shape, prompts))) > 1:
      return [
        _checked(np.asarray(x), 1, f'prompt {i}') for i, x in enumerate(prompts)
      ]
  prompts = np.asarray(_tokens(prompts))
  found = list(np.atleast_2d(_checked(prompts, 2, 'prompt')))
  if not found:
    raise UserError(
      f'prompt: got {prompts.shape}, no prompts, expected at least one'
    )
  return found


def _tokens(prompt):
  return (
    np.frombuffer(prompt, np.uint8) if isinstance(prompt, bytes) else prompt
  )


def _checked(prompt, most_axes, name):
  is_whole = np.issubdtype(prompt.dtype, np.integer) or not prompt.size
  if not (1 <= prompt.ndim <= most_axes and is_whole):
    raise UserError(
      f'{name}: got {prompt.dtype} {prompt.shape}, expected bytes or whole '
      'numbers, (length,)' + (' or (batch, length)' if most_axes > 1 else '')
    )
  return prompt.astype(np.int32)


def side_by_side(
  prompts: list[np.ndarray],
  one_pass: int,
  group: int | None,
  most: int | None,
) -> Rows:
  """Returns prompts as rows that end together, or nearly.

  Args:
    prompts: Tokens of each prompt.
    one_pass: Prompts of that many tokens are read in one pass.
    group: Multiple of tokens by which rows may start later than others; `None`
      if all have to start at once.
    most: The last place where a prompt may end, if there is a limit.
  """
  lengths = np.array([len(prompt) for prompt in prompts])
  longest, n_read = int(lengths.max()), 0
  starts = np.zeros_like(lengths)
  if (lengths == longest).all():
    n_read = longest if longest >= one_pass else 0
  elif longest >= one_pass and group is None:
    n_read = int(lengths.min()) // one_pass * one_pass
  elif longest >= one_pass:
    # Each length to read is compiled: so there are few of them.
    end = -(-longest // one_pass) * one_pass
    end = end if most is None else max(min(end, most), longest)
    starts = (end - lengths) // group * group
    n_read = max(end - group + 1, 0)
  ends = starts + lengths
  tokens = np.full((len(prompts), ends.max() + 1), UNKNOWN, np.int32)
  for row, start, end, prompt in zip(
    tokens, starts, ends, prompts, strict=True
  ):
    row[: start + 1] = START
    row[start + 1 : end + 1] = prompt
  return Rows(
    tokens,
    n_read,
    starts.astype(np.int32) if starts.any() else None,
    (ends - n_read).astype(np.int32),
  )
