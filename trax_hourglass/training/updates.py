"""Updates and evaluations on all devices of all hosts.

Trax maps its functions over the devices of one host with `jax.pmap`, keeps
arrays with an axis of devices, and no longer runs where there are two. Here
every device runs the update of a single one on its share of a batch, in one
compiled program. Weights and the optimizer's slots are whole on every device,
are updated in place, and have the shapes that they have on one device: so do
checkpoints.
"""

from collections.abc import Callable
import functools
import inspect

import jax
from jax import numpy as jnp
import numpy as np
from trax.layers import base

from trax_hourglass.data import streams
from trax_hourglass.distribution import devices
from trax_hourglass.errors import UserError
from trax_hourglass.layers.checks import unwrapped
from trax_hourglass.models.hourglass_lm import DocumentModel
from trax_hourglass.training import (
  accumulation,
  evaluating,
  trax_internals,
  user_code,
)
from trax_hourglass.training.optimizers import Optax

# In the statistics of an update: the number of a signal sent to a host, and
# whether the update was skipped.
SIGNAL, SKIPPED = 'signal', 'skipped'


def is_parallel() -> bool:
  """Returns whether there is more than one device, on all hosts."""
  return jax.device_count() > 1


class Builder:
  """Builds the trainers and evaluators of a loop.

  Losses, gradients and metrics are those of the whole batch. Each device has a
  random key of its own. If a layer's state depends on the batch, that of the
  first device is kept.
  """

  def __init__(
    self,
    model,
    eval_model,
    *,
    device_batch_size: int | None,
    skip_nonfinite: bool,
    is_memory_efficient: bool,
    adasum: bool,
    own_signal: Callable[[], int],
  ):
    """Takes arguments of the loop.

    `own_signal` returns the number of the signal sent to this host, or 0.

    Raises:
      UserError: If arguments exclude each other, or need a single device.
    """
    self._model, self._eval_model = model, eval_model
    self._device_batch_size = device_batch_size
    self._skip_nonfinite = skip_nonfinite
    self._is_memory_efficient = is_memory_efficient
    self._own_signal = own_signal if jax.process_count() > 1 else None
    if base.N_WEIGHTS_SHARDS > 1:
      raise UserError(
        f'n_weights_shards: got {base.N_WEIGHTS_SHARDS}, expected 1; every '
        'device holds all weights'
      )
    single = {
      'use_memory_efficient_trainer': is_memory_efficient,
      'adasum': adasum,
    }
    for name, value in single.items():
      if value and is_parallel():
        raise UserError(
          f'{name}: got {value} with {jax.device_count()} devices, expected a '
          'single one; leave it out'
        )
    if is_memory_efficient and isinstance(model, DocumentModel):
      raise UserError(
        'use_memory_efficient_trainer: got True, expected False beside '
        'HourglassLM.documents, as it runs each layer by itself'
      )
    if skip_nonfinite and is_memory_efficient:
      raise UserError(
        'skip_nonfinite: got True beside use_memory_efficient_trainer, which '
        'changes weights layer by layer; leave one of them out'
      )

  def trainer(self, build: Callable, task):
    """Returns the trainer of a task; `build` is Trax's function for it."""
    n_parts = accumulation.n_parts(
      _check_shares('batch_size', task),
      jax.device_count(),
      self._device_batch_size,
    )
    if n_parts > 1 and self._is_memory_efficient:
      raise UserError(
        'device_batch_size: got one beside use_memory_efficient_trainer, which '
        'takes each batch at once; leave one of them out'
      )
    optimizer = task.optimizer
    factory = unwrapped(optimizer)  # Of optimizers, for that trainer.
    is_class = inspect.isclass(factory) and issubclass(factory, Optax)
    if self._is_memory_efficient and is_class:
      raise UserError(
        'use_memory_efficient_trainer: got True beside Optax, whose '
        'transformations take all weights at once; leave one of them out'
      )
    if isinstance(optimizer, Optax):
      optimizer.name_weights(self._model)
    if is_parallel():
      trainer = trax_internals.replicated_trainer(self._model, task)
    else:
      trainer = build(task)
      if n_parts == 1 and not self._skip_nonfinite:
        return trainer
    forward_and_backward = trax_internals.forward_and_backward(trainer)
    if n_parts > 1:
      forward_and_backward = accumulation.accumulate(
        forward_and_backward,
        n_parts,
        evaluating.loss_weights_index(self._model, task.loss_layer),
        devices.AXIS if is_parallel() else None,
      )
    trainer_update = self._update(forward_and_backward, trainer.optimizer)
    trax_internals.set_update(trainer, trainer_update)
    return trainer

  def _update(self, forward_and_backward, optimizer):
    if is_parallel():
      return parallel_update(
        forward_and_backward, optimizer, self._skip_nonfinite, self._own_signal
      )
    update = trax_internals.single_update(forward_and_backward, optimizer)
    return _skipping(update) if self._skip_nonfinite else update

  def evaluator(self, build: Callable, task):
    """Returns the evaluator of a task; `build` is Trax's function for it."""
    _check_shares('eval_batch_size', task)
    if is_parallel():
      evaluator = trax_internals.replicated_evaluator(
        self._eval_model, task, parallel_metrics
      )
    else:
      evaluator = build(task)
    named = user_code.named('a metric of the evaluation')
    return evaluator._replace(metrics_fn=named(evaluator.metrics_fn))


def check_all_devices(n_devices: int | None) -> None:
  """Raises `UserError` unless a loop is given all devices of its host."""
  n_local = jax.local_device_count()
  if n_devices is not None and n_devices != n_local:
    raise UserError(
      f'num_devices: got {n_devices}, expected {n_local}, all that JAX finds '
      'here; hide the others from it, for example with CUDA_VISIBLE_DEVICES'
    )


def _check_shares(name, task):
  """Returns the size of a task's batches; raises unless devices share it."""
  size = task.sample_batch[0].shape[0]
  streams.check_shares(name, size, jax.device_count(), jax.process_count())
  return size


def _skipping(update):
  """Returns an update of one device that changes nothing if it is not finite.

  Weights and slots are donated.
  """

  @functools.partial(jax.jit, donate_argnums=0)
  def update_or_keep(weights_and_slots, step, opt_params, batch, state, rng):
    *new, stats = update(weights_and_slots, step, opt_params, batch, state, rng)
    new, stats = _keep_unless_finite([weights_and_slots, state], new, stats)
    return *new, stats

  return update_or_keep


def _keep_unless_finite(old, new, stats):
  """Returns `new`, or `old` if the loss or gradients are not finite."""
  is_finite = jnp.isfinite(stats['loss']).all()
  is_finite &= jnp.isfinite(stats['gradients_l2']).all()
  leaves, tree = jax.tree.flatten(new)  # Tuples may have become lists.
  pairs = zip(leaves, jax.tree.leaves(old), strict=True)
  kept = [jnp.where(is_finite, x, y) for x, y in pairs]
  return tree.unflatten(kept), stats | {SKIPPED: ~is_finite}


def parallel_update(
  forward_and_backward: Callable,
  optimizer,
  skip_nonfinite: bool = False,
  own_signal: Callable[[], int] | None = None,
) -> Callable:
  """Returns an update on all devices, called as one of a single device.

  Weights and slots are donated.

  Args:
    forward_and_backward: Function from (batch, weights, state, rng) to ((loss,
      state), gradients), run by each device on its share of the batch. The
      loss of the batch is the mean of theirs.
    optimizer: A `trax.optimizers.Optimizer`.
    skip_nonfinite: Whether an update that is not finite changes nothing.
    own_signal: Called on each of several hosts for a number; the highest is in
      the statistics of all hosts, as `SIGNAL`.
  """
  update = compiled_update(
    forward_and_backward, optimizer, skip_nonfinite, own_signal is not None
  )

  def replicated_update(weights_and_slots, step, opt_params, batch, state, rng):
    whole = weights_and_slots, step, opt_params, rng, state
    shared = [tuple(batch)]
    if own_signal is not None:
      shared.append(np.full(jax.device_count(), own_signal(), np.int32))
    weights_and_slots, state, stats = update(
      *devices.replicate(whole), *map(devices.shard, shared)
    )
    return weights_and_slots, state, devices.local(stats)

  return replicated_update


def compiled_update(
  forward_and_backward, optimizer, skip_nonfinite=False, has_signals=False
):
  """Returns the compiled function within `parallel_update`.

  With `has_signals`, it also takes a number from each device.
  """

  def update(weights_and_slots, step, opt_params, rng, state, batch, *signals):
    weights, slots = weights_and_slots
    (loss, new_state), gradients = forward_and_backward(
      batch, weights, state, devices.device_key(rng)
    )
    loss, gradients = jax.lax.pmean((loss, gradients), devices.AXIS)
    weights, slots, stats = optimizer.tree_update(
      step, gradients, weights, slots, opt_params, store_slots=False
    )
    stats['loss'] = loss
    new = [(weights, slots), devices.from_first(new_state)]
    if skip_nonfinite:
      new, stats = _keep_unless_finite([weights_and_slots, state], new, stats)
    for signal in signals:
      stats[SIGNAL] = jax.lax.pmax(signal.max(), devices.AXIS)
    return *new, stats

  n_shared = 2 if has_signals else 1  # The batch, the signals.
  return devices.on_each(
    update,
    (devices.REPLICATED,) * 5 + (devices.SHARDED,) * n_shared,
    donate_argnums=(0,),
  )


def parallel_metrics(pure_fn: Callable) -> Callable:
  """Returns a `pure_fn` of metrics that runs on all devices."""

  def metrics(batch, weights, state, rng):
    values, _ = pure_fn(batch, weights, state, devices.device_key(rng))
    return jax.lax.pmean(values, devices.AXIS)

  whole, shared = devices.REPLICATED, devices.SHARDED
  metrics = devices.on_each(metrics, (shared, whole, whole, whole))

  def replicated_metrics(batch, weights, state, rng):
    values = metrics(
      devices.shard(tuple(batch)), *devices.replicate((weights, state, rng))
    )
    return devices.local(values), state

  return replicated_metrics
