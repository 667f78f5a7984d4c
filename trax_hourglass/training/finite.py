"""Losses and gradients that are not finite."""

import math

import jax
from jax import numpy as jnp

from trax_hourglass.errors import UserError

# In the statistics of an update: whether it was skipped.
SKIPPED = 'skipped'


class NotFiniteError(UserError):
  """A loss, gradient or weight is not finite, so its step must not be saved."""


def keep_unless_finite(old, new, stats):
  """Returns the results of an update, and its statistics with `SKIPPED`.

  Args:
    old: Tree of arrays before the update; returned if it is not finite.
    new: The same after it.
    stats: The update's statistics, the loss and norm of gradients among them.
  """
  is_finite = jnp.isfinite(stats['loss']).all()
  is_finite &= jnp.isfinite(stats['gradients_l2']).all()
  leaves, tree = jax.tree.flatten(new)  # Tuples may have become lists.
  pairs = zip(leaves, jax.tree.leaves(old), strict=True)
  kept = [jnp.where(is_finite, x, y) for x, y in pairs]
  return tree.unflatten(kept), stats | {SKIPPED: ~is_finite}


def find_culprit(stats: dict[str, float]) -> str | None:
  """Returns a statistic that is not finite, such as 'loss nan', if any."""
  for name, words in (('loss', 'loss'), ('gradients_l2', 'norm of gradients')):
    if not math.isfinite(stats.get(name, 0.0)):
      return f'{words} {stats[name]}'
  return None
