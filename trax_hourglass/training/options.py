"""The arguments of the loop: ours checked, and those that it passes to Trax."""

import inspect

import jax
from trax.supervised import training

from trax_hourglass.distribution import hosts
from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.training import schedules, updates

_SIGNATURE = inspect.signature(training.Loop)


def options(
  device_batch_size=None,
  keep_last=3,
  save_every=None,
  skip_nonfinite=False,
  max_skipped_in_a_row=100,
  save_every_minutes=30,
):
  """Returns these arguments of `training.Loop` as a dict, checked.

  In gin files it is `trax_hourglass.Loop`.

  Args:
    device_batch_size: Sequences that a device processes at a time in training,
      a divisor of its share of the batch; gradients are accumulated. By default
      all of its share.
    keep_last: How many of the newest checkpoints are kept, beside permanent
      ones and the best by a metric, as Trax's arguments say.
    save_every: Steps from one checkpoint to the next, beside those that Trax's
      `checkpoint_at` chooses. By default checkpoints are saved when Trax does:
      at step 1 and at each evaluation. If the best by a metric is kept, one is
      saved at each evaluation in any case.
    skip_nonfinite: Whether a batch whose loss or gradients are not finite is
      skipped; otherwise it ends the run.
    max_skipped_in_a_row: How many consecutive batches may be skipped.
    save_every_minutes: The most minutes between checkpoints, which may be a
      fraction; beside those of `save_every`. `None` sets no limit.

  Raises:
    UserError: If one is out of its range.
  """
  check_positive(keep_last=keep_last, max_skipped_in_a_row=max_skipped_in_a_row)
  if save_every is not None:
    check_positive(save_every=save_every)
  if save_every_minutes is not None:
    schedules.check_positive_number(save_every_minutes=save_every_minutes)
  if not isinstance(skip_nonfinite, bool):
    raise UserError(
      f'skip_nonfinite: got {skip_nonfinite!r}, expected True or False'
    )
  return {
    'device_batch_size': device_batch_size,
    'keep_last': keep_last,
    'save_every': save_every,
    'skip_nonfinite': skip_nonfinite,
    'max_skipped_in_a_row': max_skipped_in_a_row,
    'save_every_minutes': save_every_minutes,
  }


def bind(args, kwargs, save_every=None) -> tuple[inspect.BoundArguments, list]:
  """Returns arguments for Trax's loop, and the callbacks, taken out of them.

  Args:
    args: Positional arguments of our loop.
    kwargs: Its keyword arguments, without those of `options`.
    save_every: As for `options`.

  Raises:
    UserError: If `n_devices` is not all devices of the host.
  """
  bound = _SIGNATURE.bind(*args, **kwargs)
  bound.apply_defaults()
  given = bound.arguments
  updates.check_all_devices(given['n_devices'])
  if given['random_seed'] is None and jax.process_count() > 1:
    given['random_seed'] = hosts.common_seed()
  if save_every is not None:
    also_at = given['checkpoint_at'] or (lambda step: False)
    given['checkpoint_at'] = lambda step: (
      step % save_every == 0 or also_at(step)
    )
  callbacks, given['callbacks'] = given['callbacks'] or [], None
  return bound, callbacks


def listed(tasks) -> list | tuple:
  """Returns tasks as a list; Trax also takes one alone, or `None`."""
  if tasks is None:
    return []
  return tasks if isinstance(tasks, list | tuple) else [tasks]
