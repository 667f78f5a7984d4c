"""The paper's hierarchy notation, parsed into nested levels.

Section 3 of arXiv:2110.13711 writes an architecture as `N@f` entries, each `N`
Transformer blocks on a sequence shortened `f` times in total:
`'2@1 8@3 2@1'` is two blocks on all tokens, eight on a sequence three times
shorter, two on all tokens again. A set of factors at the innermost level,
`'2@1 8@{2,3} 2@1'`, is shorten factor dropout (Section 4.1): each training step
draws one of them.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import re
from typing import NamedTuple

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
    inners: The next shorter level; several, alike but for their factor, where
      each training step draws one; none at the innermost level.
  """

  total_shorten_factor: int
  n_pre: int
  n_post: int = 0
  inners: tuple[Level, ...] = ()

  @property
  def multiple(self) -> int:
    """The smallest number of tokens that every level inside can shorten."""
    return math.lcm(
      self.total_shorten_factor, *(inner.multiple for inner in self.inners)
    )

  def shorten_factor(self, inner: Level) -> int:
    """Returns the number of this level's vectors in one of an inner level."""
    return inner.total_shorten_factor // self.total_shorten_factor

  def __str__(self) -> str:
    """Returns this level in the full notation, zeros written."""
    pre = f'{self.n_pre}@{self.total_shorten_factor}'
    if not self.inners:
      return pre
    inner = str(self.inners[0])
    if len(self.inners) > 1:
      factors = ','.join(str(i.total_shorten_factor) for i in self.inners)
      inner = f'{self.inners[0].n_pre}@{{{factors}}}'
    return f'{pre} {inner} {self.n_post}@{self.total_shorten_factor}'


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
      shorten factor `f` >= 1. The innermost may be `N@{f,g,...}`.
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
  if entries[0].factors == entries[-1].factors == (1,):
    if vanilla_layers is not None:
      raise UserError(
        f'hierarchy {hierarchy!r}: its levels at @1 already say how many '
        f'vanilla layers there are, got vanilla_layers {vanilla_layers!r} as '
        'well; leave vanilla_layers out'
      )
  else:
    pre, post = _check_vanilla_layers(vanilla_layers)
    _check_palindrome(entries, hierarchy)
    entries = [_Entry(pre, (1,)), *entries, _Entry(post, (1,))]
  return _nest(entries, hierarchy)


class _Entry(NamedTuple):
  n_layers: int
  factors: tuple[int, ...]

  def __str__(self):
    factors = ','.join(map(str, self.factors))
    return f'{self.n_layers}@' + (
      factors if len(self.factors) == 1 else f'{{{factors}}}'
    )


def _parse_entry(entry: str, hierarchy: str) -> _Entry:
  match = re.fullmatch(r'(\d+)@(\d+|\{\d+(?:,\d+)+\})', entry, re.ASCII)
  if not match:
    raise UserError(
      f'hierarchy {hierarchy!r}: level {entry!r} is not of the form N@f, '
      'N blocks at the total shorten factor f, or N@{f,g}'
    )
  factors = tuple(int(factor) for factor in match[2].strip('{}').split(','))
  if min(factors) < 1:
    raise UserError(
      f'hierarchy {hierarchy!r}: level {entry!r} has total shorten factor '
      f'{min(factors)}, expected at least 1'
    )
  if len(set(factors)) < len(factors):
    raise UserError(
      f'hierarchy {hierarchy!r}: level {entry!r} repeats a total shorten '
      'factor, expected different ones: each is as likely as the others'
    )
  return _Entry(int(match[1]), factors)


def _check_vanilla_layers(vanilla_layers) -> tuple[int, int]:
  if vanilla_layers is None:
    return DEFAULT_VANILLA_LAYERS
  valid = (
    isinstance(vanilla_layers, (tuple, list))
    and len(vanilla_layers) == 2
    and all(isinstance(n, numbers.Integral) and n >= 0 for n in vanilla_layers)
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
        f"hierarchy {hierarchy!r}: level '{left}' faces '{right}'; sides may "
        'differ only in the full notation, which starts and ends at @1, as '
        "'1@1 2@2 8@4 3@2 1@1'"
      )


def _nest(entries, hierarchy) -> Level:
  """Folds the entries from the middle outwards."""
  n_outer, is_odd = divmod(len(entries), 2)
  if not is_odd:
    raise UserError(
      f'hierarchy {hierarchy!r}: got {len(hierarchy.split())} levels, expected '
      'an odd number: down to the innermost one and up again'
    )
  _check_sets(entries, n_outer, hierarchy)
  n_layers, factors = entries[n_outer]
  levels = tuple(Level(factor, n_layers) for factor in factors)
  for pre, post in zip(
    reversed(entries[:n_outer]), entries[n_outer + 1 :], strict=True
  ):
    if pre.factors != post.factors:
      raise UserError(
        f"hierarchy {hierarchy!r}: level '{pre}' faces '{post}', expected the "
        'same total shorten factor on both sides'
      )
    (factor,) = pre.factors
    for level in levels:
      _check_shortens(level.total_shorten_factor, factor, hierarchy)
    levels = (Level(factor, pre.n_layers, post.n_layers, levels),)
  return levels[0]


def _check_sets(entries, n_outer, hierarchy):
  for i, entry in enumerate(entries):
    if len(entry.factors) > 1 and i != n_outer:
      raise UserError(
        f"hierarchy {hierarchy!r}: level '{entry}' has several total shorten "
        'factors, which only the innermost of several levels may have'
      )


def _check_shortens(inner_factor, factor, hierarchy):
  if inner_factor % factor:
    raise UserError(
      f'hierarchy {hierarchy!r}: total shorten factor {inner_factor} is not '
      f'a multiple of the {factor} around it'
    )
  if inner_factor == factor:
    raise UserError(
      f'hierarchy {hierarchy!r}: total shorten factor {inner_factor} does '
      f'not shorten the {factor} around it; write those blocks as one level'
    )
