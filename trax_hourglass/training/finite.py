"""Losses and gradients that are not finite: seen, or skipped."""

import functools
import math

import jax
from jax import numpy as jnp
import numpy as np

from trax_hourglass.errors import UserError

SKIPPED = 'skipped'


class NotFiniteError(UserError):
  """A loss, gradient or weight is not finite, so its step must not be saved."""


def skip_batches(trainer) -> None:
  """Lets a trainer's update keep all as it was if it came out not finite.

  Weights, optimizer slots and state are kept within the compiled function,
  which says so in the statistics, as `skipped`.

  Args:
    trainer: A `trax.optimizers.Trainer`.
  """
  update = trainer._accelerated_update_fn

  @functools.partial(jax.jit, donate_argnums=0)
  def update_or_keep(weights_and_slots, step, opt_params, batch, state, rng):
    *new, stats = update(weights_and_slots, step, opt_params, batch, state, rng)
    new, stats = keep_unless_finite([weights_and_slots, state], new, stats)
    return *new, stats

  trainer._accelerated_update_fn = update_or_keep


def keep_unless_finite(old, new, stats):
  """Returns what an update leaves, and its statistics with `skipped`.

  Args:
    old: Tree of arrays, before the update.
    new: The same after it.
    stats: The update's statistics, the loss and norm of gradients among them.
  """
  is_finite = jnp.isfinite(stats['loss']).all()
  is_finite &= jnp.isfinite(stats['gradients_l2']).all()
  leaves, tree = jax.tree.flatten(new)
  pairs = zip(leaves, jax.tree.leaves(old), strict=True)
  kept = [jnp.where(is_finite, x, y) for x, y in pairs]
  return tree.unflatten(kept), stats | {SKIPPED: ~is_finite}


def on_host(stats) -> dict[str, float]:
  """Returns the mean over devices of each statistic; waits for the device."""
  return {
    name: float(np.mean(value)) for name, value in jax.device_get(stats).items()
  }


def culprit(stats: dict[str, float]) -> str | None:
  """Returns what is not finite, in words; `None` if all is."""
  for name, words in (('loss', 'loss'), ('gradients_l2', 'norm of gradients')):
    if not math.isfinite(stats.get(name, 0.0)):
      return f'{words} {stats[name]}'
  return None
