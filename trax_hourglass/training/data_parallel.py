"""Trax's loop on all devices of all hosts.

Trax itself maps its functions over the devices of one host with `jax.pmap`,
keeps arrays with an axis of devices, and no longer runs where there are two.
Here every device runs the update of a single one on its share of a batch, in
one compiled program, and weights have the shapes that they have on one device:
so do checkpoints.

Weights and the optimizer's slots are on every device, and are updated in place.
"""

from collections.abc import Callable
import contextlib
import os

import jax
import numpy as np
from trax import optimizers, shapes
from trax.layers import base
from trax.optimizers import trainer as trax_trainer
from trax.supervised import training

from trax_hourglass.data import streams
from trax_hourglass.distribution import devices, hosts
from trax_hourglass.errors import UserError
from trax_hourglass.training import finite, summaries

# In the statistics of an update: the number of a signal that a host was sent.
SIGNAL = 'signal'


class Loop(training.Loop):
  """Trains as Trax's `Loop` does, on as many devices as JAX has.

  Losses, gradients and metrics are those of the whole batch. A layer draws its
  random numbers on each device from another key. Where its state depends on
  what it has seen, the state of the first device is kept.

  Every host draws the same batches and takes the rows of its own devices. Only
  the first one writes to the output directory; all read checkpoints from it.
  """

  _skips_nonfinite = False  # See `finite`.

  def __init__(self, *args, n_devices=None, random_seed=None, **kwargs):
    _check_all_devices(n_devices)
    if random_seed is None and jax.process_count() > 1:
      random_seed = hosts.common_seed()
    super().__init__(
      *args, n_devices=n_devices, random_seed=random_seed, **kwargs
    )

  @property
  def is_parallel(self) -> bool:
    """Whether there is more than one device, on all hosts."""
    return jax.device_count() > 1

  def _init_trainer(self, task):
    if base.N_WEIGHTS_SHARDS > 1:
      raise UserError(
        f'n_weights_shards: got {base.N_WEIGHTS_SHARDS}, expected 1; every '
        'device holds all weights'
      )
    _check_shares('batch_size', task)
    if self.is_parallel:
      trainer = self._init_parallel_trainer(task)
    else:
      trainer = super()._init_trainer(task)
    if self._eval_model is not self._model:
      self._share_weights_after_each_step(trainer)
    return trainer

  def _share_weights_after_each_step(self, trainer):
    """Gives the evaluation model the new weights after each step.

    The memory of its old weights may already have been reused for the new ones.
    """
    one_step = trainer.one_step

    def one_step_and_share(*args, **kwargs):
      outputs = one_step(*args, **kwargs)
      self._eval_model.weights = self._model.weights
      return outputs

    trainer.one_step = one_step_and_share

  def _init_parallel_trainer(self, task):
    self._check_supported()
    model_with_loss = training._model_with_ends(
      self._model, [task.loss_layer], shapes.signature(task.sample_batch)
    )
    task.optimizer.tree_init(model_with_loss.weights)
    # To Trax it is one device: else arrays would get an axis of devices.
    trainer = optimizers.Trainer(model_with_loss, task.optimizer, n_devices=1)
    self._set_update_fn(trainer, trainer._forward_and_backward_fn)
    return trainer

  def _set_update_fn(self, trainer, forward_and_backward):
    """Lets a trainer compute gradients by a function, see `update_fn`."""
    if self.is_parallel:
      update = update_fn(
        forward_and_backward,
        trainer.optimizer,
        self._skips_nonfinite,
        self._own_signal if jax.process_count() > 1 else None,
      )
    else:
      update = trax_trainer._accelerate_update_fn(
        forward_and_backward, trainer.optimizer, n_devices=1
      )
    trainer._accelerated_update_fn = update

  def _own_signal(self) -> int:
    """Returns the number of a signal that this host was sent, 0 for none."""
    return 0

  def _check_supported(self):
    for name, value in {
      'use_memory_efficient_trainer': self._use_memory_efficient_trainer,
      'adasum': self._adasum,
    }.items():
      if value:
        raise UserError(
          f'{name}: got {value} with {jax.device_count()} devices, expected a '
          'single one; leave it out'
        )

  def _init_evaluator(self, eval_task):
    _check_shares('eval_batch_size', eval_task)
    if not self.is_parallel:
      return super()._init_evaluator(eval_task)
    model = training._model_with_metrics(self._eval_model, eval_task)
    return training._Evaluator(
      weights=model.weights[1],
      state=model.state[1],
      metrics_fn=metrics_fn(model.pure_fn),
    )

  def _commit_to_device(self):
    """Pins all that the update function changes to the device it runs on.

    Trax leaves the weights uncommitted until the first step has made new ones,
    which to XLA is another function to compile, and pins the slots to the CPU,
    also where there is a GPU.
    """
    if self.is_parallel or self._use_memory_efficient_trainer:
      return
    device = jax.local_devices()[0]
    for trainer in self._trainer_per_task:
      weights, state, slots, opt_params = jax.device_put(
        (
          trainer.model_with_loss.weights,
          trainer.model_with_loss.state,
          trainer.slots,
          trainer._opt_params,
        ),
        device,
      )
      trainer.accelerated_model_with_loss.replicate_weights(weights)
      trainer.accelerated_model_with_loss.replicate_state(state)
      trainer.slots = slots
      trainer._slots, trainer._opt_params = slots, opt_params

  @contextlib.contextmanager
  def _open_summary_writers(self):
    """Yields writers of summaries for training and evaluation tasks.

    A writer is `None` except on the first host with an output directory.
    """
    folders = {
      'train': self._output_dir_per_train_task,
      'eval': self._output_dir_per_eval_task,
    }
    with contextlib.ExitStack() as stack:

      def opened(folder, name):
        if folder is None or not self.is_chief:
          return None
        writer = summaries.SummaryWriter(os.path.join(folder, name))
        stack.callback(writer.close)
        return writer

      yield tuple(
        [opened(folder, name) for folder in folders[name]] for name in folders
      )


def _check_shares(name, task):
  size = task.sample_batch[0].shape[0]
  streams.check_shares(name, size, jax.device_count(), jax.process_count())


def _check_all_devices(n_devices):
  n_local = jax.local_device_count()
  if n_devices is not None and n_devices != n_local:
    raise UserError(
      f'num_devices: got {n_devices}, expected {n_local}, all that JAX finds '
      'here; hide the others from it, for example with CUDA_VISIBLE_DEVICES'
    )


def update_fn(
  forward_and_backward,
  optimizer,
  skips_nonfinite=False,
  own_signal: Callable[[], int] | None = None,
):
  """Returns what a `trax.optimizers.Trainer` calls in every step.

  That is a function from (weights, slots), step, optimizer parameters, batch,
  state and random key to (weights, slots), state, statistics. The weights and
  slots that it is given are donated.

  Args:
    forward_and_backward: Function from (batch, weights, state, rng) to ((loss,
      state), gradients), run by each device on its share of the batch. The
      loss of the batch is the mean of theirs.
    optimizer: A `trax.optimizers.Optimizer`.
    skips_nonfinite: Whether an update that is not finite changes nothing.
    own_signal: What to call on each of several hosts for a number; the highest
      is in the statistics of all hosts, as `SIGNAL`.
  """
  update = compiled_update(
    forward_and_backward, optimizer, skips_nonfinite, own_signal is not None
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
  forward_and_backward, optimizer, skips_nonfinite=False, has_signals=False
):
  """Returns the compiled function within `update_fn`.

  Its arguments are (weights, slots), step, optimizer parameters, random key,
  state and batch, and with `has_signals` a number from each device.
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
    if skips_nonfinite:
      new, stats = finite.keep_unless_finite(
        [weights_and_slots, state], new, stats
      )
    for signal in signals:
      stats[SIGNAL] = jax.lax.pmax(signal.max(), devices.AXIS)
    return *new, stats

  n_shared = 2 if has_signals else 1  # The batch, the signals.
  return devices.on_each(
    update,
    (devices.REPLICATED,) * 5 + (devices.SHARDED,) * n_shared,
    donate_argnums=(0,),
  )


def metrics_fn(pure_fn):
  """Returns what Trax's loop calls for every batch of an evaluation.

  That is a function from batch, weights, state and random key to the metrics
  of the whole batch and the state.

  Args:
    pure_fn: That of the model with its metrics.
  """

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
