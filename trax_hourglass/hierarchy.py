"""The paper's hierarchy notation, parsed into nested levels.

Section 3 of arXiv:2110.13711 writes an architecture as `N@f` entries, each `N`
Transformer blocks on a sequence shortened `f` times in total:
`'2@1 8@3 2@1'` is two blocks on all tokens, eight on every third, two on all
tokens again.
"""

from __future__ import annotations

import dataclasses
import re

from trax_hourglass.errors import UserError

DEFAULT_VANILLA_LAYERS = (1, 1)


@dataclasses.dataclass(frozen=True)
class Level:
  """The blocks of one level, and the level inside it.

  Attributes:
    total_shorten_factor: Tokens per activation vector here: the number after
      `@`.
    n_pre: Blocks before the inner level. All blocks where there is none.
    n_post: Blocks after the inner level. 0 where there is none.
    inner: The next shorter level, or `None` at the innermost one.
  """

  total_shorten_factor: int
  n_pre: int
  n_post: int = 0
  inner: Level | None = None

  @property
  def shorten_factor(self) -> int:
    """One shortening step: how many vectors here make one of the inner level.

    It is 1 at the innermost level.
    """
    if self.inner is None:
      return 1
    return self.inner.total_shorten_factor // self.total_shorten_factor

  @property
  def innermost(self) -> Level:
    return self if self.inner is None else self.inner.innermost

  def __str__(self) -> str:
    """This level in the full notation, zeros written."""
    pre = f'{self.n_pre}@{self.total_shorten_factor}'
    if self.inner is None:
      return pre
    return f'{pre} {self.inner} {self.n_post}@{self.total_shorten_factor}'


def parse(
  hierarchy: str, vanilla_layers: tuple[int, int] | None = None
) -> Level:
  """Returns the outermost level that `hierarchy` describes.

  Two notations are read. A string that starts and ends at `@1` is the paper's,
  complete: `'2@1 8@3 2@1'`, `'0@1 8@3 2@1'` without blocks before the
  shortening, `'12@1'` for a Transformer without shortening. Any other is that
  of `trax.models.HourglassLM`: a palindrome of the shortened levels alone,
  such as `'1@2 4@4 1@2'`, with the blocks at `@1` in `vanilla_layers`.

  Args:
    hierarchy: Entries `N@f` separated by spaces, `N` >= 0 blocks at the total
      shorten factor `f` >= 1.
    vanilla_layers: (pre, post) blocks at `@1` for the second notation; `None`
      stands for (1, 1), the default of Trax.

  Raises:
    UserError: If an entry is malformed, the factors don't nest, or
      `vanilla_layers` is given twice or malformed.
  """
  if not isinstance(hierarchy, str):
    raise UserError(
      f"hierarchy: got {hierarchy!r}, expected a string such as '2@1 8@3 2@1'"
    )
  entries = [_parse_entry(entry, hierarchy) for entry in hierarchy.split()]
  if not entries:
    raise UserError(
      f"hierarchy {hierarchy!r}: got no level, expected for example '2@1 8@3 "
      "2@1'"
    )
  if entries[0][1] == 1 and entries[-1][1] == 1:
    if vanilla_layers is not None:
      raise UserError(
        f'hierarchy {hierarchy!r}: its levels at @1 already say how many '
        f'vanilla layers there are, got vanilla_layers {vanilla_layers!r} as '
        'well; leave vanilla_layers out'
      )
  else:
    pre, post = _check_vanilla_layers(vanilla_layers)
    _check_palindrome(entries, hierarchy)
    entries = [(pre, 1), *entries, (post, 1)]
  return _nest(entries, hierarchy)


def _parse_entry(entry: str, hierarchy: str) -> tuple[int, int]:
  match = re.fullmatch(r'(\d+)@(\d+)', entry, re.ASCII)
  if not match:
    raise UserError(
      f'hierarchy {hierarchy!r}: level {entry!r} is not of the form N@f, '
      'N blocks at the total shorten factor f'
    )
  n_layers, factor = map(int, match.groups())
  if factor < 1:
    raise UserError(
      f'hierarchy {hierarchy!r}: level {entry!r} has total shorten factor '
      f'{factor}, expected at least 1'
    )
  return n_layers, factor


def _check_vanilla_layers(vanilla_layers) -> tuple[int, int]:
  if vanilla_layers is None:
    return DEFAULT_VANILLA_LAYERS
  valid = (
    isinstance(vanilla_layers, (tuple, list))
    and len(vanilla_layers) == 2
    and all(isinstance(n, int) and n >= 0 for n in vanilla_layers)
  )
  if not valid:
    raise UserError(
      f'vanilla_layers: got {vanilla_layers!r}, expected two numbers of blocks '
      'at @1, (pre, post), each at least 0'
    )
  return tuple(vanilla_layers)


def _check_palindrome(entries, hierarchy):
  for left, right in zip(entries, reversed(entries), strict=True):
    if left != right:
      raise UserError(
        f'hierarchy {hierarchy!r}: level {_entry(left)!r} faces '
        f'{_entry(right)!r}; sides may differ only in the full notation, which '
        "starts and ends at @1, as '1@1 2@2 8@4 3@2 1@1'"
      )


def _nest(entries, hierarchy) -> Level:
  """Folds the entries from the middle outwards."""
  n_outer, is_even = divmod(len(entries), 2)[0], len(entries) % 2 == 0
  if is_even:
    raise UserError(
      f'hierarchy {hierarchy!r}: got {len(entries)} levels, expected an odd '
      'number: down to the innermost one and up again'
    )
  n_layers, factor = entries[n_outer]
  level = Level(factor, n_layers)
  for pre, post in zip(
    reversed(entries[:n_outer]), entries[n_outer + 1 :], strict=True
  ):
    if pre[1] != post[1]:
      raise UserError(
        f'hierarchy {hierarchy!r}: level {_entry(pre)!r} faces '
        f'{_entry(post)!r}, expected the same total shorten factor on both '
        'sides'
      )
    inner_factor = level.total_shorten_factor
    if inner_factor % pre[1]:
      raise UserError(
        f'hierarchy {hierarchy!r}: total shorten factor {inner_factor} is not '
        f'a multiple of the {pre[1]} around it'
      )
    if inner_factor == pre[1]:
      raise UserError(
        f'hierarchy {hierarchy!r}: total shorten factor {inner_factor} does '
        f'not shorten the {pre[1]} around it; write those blocks as one level'
      )
    level = Level(pre[1], pre[0], post[0], level)
  return level


def _entry(entry: tuple[int, int]) -> str:
  return '{}@{}'.format(*entry)
