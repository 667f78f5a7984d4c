"""Trax's training loop: compiled once, watched, and stopped at bad input."""

import contextlib
import io
import os
import sys

import jax
import numpy as np
import tensorflow as tf
import tqdm

from trax_hourglass import devices
from trax_hourglass.errors import UserError
from trax_hourglass.layers.metrics import Measure, nats_to_bits
from trax_hourglass.training import accumulation, checkpoints, data_parallel


def options(device_batch_size=None):
  """Returns what a `Loop` takes beyond the arguments of Trax's, as a dict.

  In gin files it is `trax_hourglass.Loop`.

  Args:
    device_batch_size: How many sequences of a batch a device takes at once in
      training, all of its share by default. It divides that share; gradients
      are accumulated over the parts.
  """
  return {'device_batch_size': device_batch_size}


class Loop(data_parallel.Loop):
  """Trains as `trax.supervised.training.Loop` does, with its arguments.

  One more, `device_batch_size`, is how many sequences of a batch a device takes
  at once, in training; their gradients are accumulated to those of the batch.

  It uses all devices of all hosts, see `data_parallel.Loop`. Beyond that the
  loop compiles the update function once instead of twice,
  shows a progress bar and a line per evaluation, saves a checkpoint after the
  last step too, and raises a `UserError` where Trax goes on silently: at a
  target beyond the model's outputs, and at a checkpoint of another
  architecture.

  Attributes:
    measure: What its bits are counted over, and what it prints beside them.
  """

  measure = Measure()

  def __init__(self, *args, device_batch_size=None, **kwargs):
    self._device_batch_size = device_batch_size
    super().__init__(*args, **kwargs)
    self._train_report = ''
    self._eval_reports = []
    self._check_targets()

  def _init_trainer(self, task):
    built = super()._init_trainer(task)
    n_parts = accumulation.n_parts(
      task.sample_batch[0].shape[0],
      jax.device_count(),
      self._device_batch_size,
    )
    if n_parts > 1:
      self._accumulate(built, n_parts)
    return built

  def _accumulate(self, built, n_parts):
    if self._use_memory_efficient_trainer:
      raise UserError(
        'device_batch_size: got one beside use_memory_efficient_trainer, which '
        'takes each batch at once; leave one of them out'
      )
    self._set_update_fn(
      built,
      accumulation.accumulate(
        built._forward_and_backward_fn,
        n_parts,
        devices.AXIS if self.is_parallel else None,
      ),
    )

  def run(self, n_steps=1):
    """Trains for `n_steps` and saves a checkpoint at the end."""
    with tqdm.tqdm(
      total=self.step + n_steps,
      initial=self.step,
      unit=' steps',
      bar_format=(
        '{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}, '
        '{rate_noinv_fmt}, {remaining} left'
      ),
      mininterval=0.5,
      disable=not (self.is_chief and sys.stderr.isatty()),
      dynamic_ncols=True,
    ) as self._bar:
      super().run(n_steps)
    # Trax saves before it evaluates: the history still misses what came after.
    saved = self._checkpoint_at(self.step) and not self._eval_at(self.step)
    if not saved:
      self.save_checkpoint('model')

  def run_evals(self, summary_writers=None):
    self._eval_reports = []
    super().run_evals(summary_writers)
    report = [f'step {self.step}', self._train_report, *self._eval_reports]
    if not self.is_chief:
      return
    tqdm.tqdm.write('  '.join(filter(None, report)) + self.measure.remarks)

  def log_summary(
    self, values, summary_writer, value_prefix, log_prefix, stdout=True
  ):
    super().log_summary(
      values, summary_writer, value_prefix, log_prefix, stdout
    )
    if (log_prefix, value_prefix) == ('eval', 'metrics/'):
      self._eval_reports.append(_format_metrics(values))

  def save_checkpoint(self, basename):
    if self._output_dir is not None:  # Else Trax prints so every time.
      super().save_checkpoint(basename)

  def load_checkpoint(self, directory=None, filename=None):
    path = os.path.join(
      directory or self._output_dir or '',
      (filename or 'model') + checkpoints.SUFFIX,
    )
    if (directory or self._output_dir) and tf.io.gfile.exists(path):
      checkpoints.check_resumable(path, self._model, self._trainer_per_task)
    super().load_checkpoint(directory, filename)
    self._commit_to_device()

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

  def _check_targets(self):
    """Lets no batch pass whose targets the model has no logits for.

    XLA would take the nearest embedding for such a token, and the loss ignores
    it. In a language model the targets are the inputs, in a classifier only
    the targets are bounded by the outputs.
    """
    if self._use_memory_efficient_trainer:
      return  # Its model is initialised in pieces, without output signature.
    n_in = self._model.n_in
    if self._model.n_out != 1 or len(self._batch_signature) <= n_in:
      return
    *inputs, targets = self._batch_signature[: n_in + 1]
    logits = self._model.output_signature(inputs[0] if n_in == 1 else inputs)
    is_integer = np.issubdtype(targets.dtype, np.integer)
    if not is_integer or logits.shape[:-1] != targets.shape:
      return
    vocab_size = logits.shape[-1]

    def checked(batches):
      for batch in batches:
        _check_token_ids(batch[n_in], vocab_size)
        yield batch

    for task in (*self._tasks, *self._eval_tasks):
      _check_token_ids(task.sample_batch[n_in], vocab_size)
      task._labeled_data = checked(task.labeled_data)

  def _run_one_step(self, task_index, task_changed):
    loss, stats = super()._run_one_step(task_index, task_changed)
    # Reading the loss waits for the device, so it is read when it is shown.
    if self._bar.update():
      loss_line = self._format_loss(float(np.mean(loss)))
      self._bar.set_postfix_str(loss_line + self.measure.remarks)
    return loss, stats

  def _log_training_progress(
    self, task, total_loss, n_steps, elapsed_time, **kwargs
  ):
    with contextlib.redirect_stdout(io.StringIO()):  # An empty line.
      super()._log_training_progress(
        task, total_loss, n_steps, elapsed_time, **kwargs
      )
    loss = self._format_loss(float(total_loss) / n_steps)
    self._train_report = f'{n_steps / elapsed_time:.3g} steps/s  train {loss}'

  def _log_step(self, msg, stdout=True):
    super()._log_step(msg, stdout=False)

  def _format_loss(self, nats):
    bits = nats_to_bits(nats)
    return f'loss {nats:.4f} nats, {bits:.4f} {self.measure.unit}'


def _format_metrics(metrics):
  """Returns 'validation bits_per_byte 4.1, ...', the bits first."""
  names = sorted(metrics, key=lambda name: not name.startswith('bits_per_'))
  return 'validation ' + ', '.join(
    f'{name} {float(metrics[name]):.4f}' for name in names
  )


def _check_token_ids(ids, vocab_size):
  ids = np.asarray(ids)
  if ids.size and not 0 <= ids.min() <= ids.max() < vocab_size:
    outside = ids[(ids < 0) | (ids >= vocab_size)][0]
    raise UserError(
      f'token id {outside} in a batch: expected ids from 0 to '
      f"{vocab_size - 1}, the model's vocab_size is {vocab_size}; give the "
      'model a larger one or change the data'
    )
