"""Trax's training loop: compiled once, watched, and stopped without a loss."""

import contextlib
import io
import math
import signal
import time

import jax

from trax_hourglass.distribution import devices
from trax_hourglass.errors import UserError, reason, warn
from trax_hourglass.layers.metrics import Measure
from trax_hourglass.training import (
  accumulation,
  data_parallel,
  evaluating,
  finite,
  interruption,
  loss_weights,
  options,
  reports,
  resumable,
  undoing,
  user_code,
)


class Loop(resumable.ResumableLoop):
  """Trains as `trax.supervised.training.Loop` does, with its arguments.

  Those of `options.options` come beside them. Beyond Trax's, the loop uses all
  devices of all hosts, goes on from its last checkpoint as if nothing had
  stopped it, compiles the update function once instead of twice, shows a
  progress bar and a line per evaluation, and raises a `UserError` where Trax
  goes on silently: at a loss that is not finite, a target beyond the model's
  outputs, a checkpoint of another architecture.

  Attributes:
    measure: What its bits are counted over, and what it prints beside them.
  """

  measure = Measure()

  def __init__(
    self,
    *args,
    device_batch_size=None,
    keep_last=3,
    save_every=None,
    skip_nonfinite=False,
    max_skipped_in_a_row=100,
    **kwargs,
  ):
    options.options(
      device_batch_size,
      keep_last,
      save_every,
      skip_nonfinite,
      max_skipped_in_a_row,
    )
    self._device_batch_size = device_batch_size
    self._skips_nonfinite = skip_nonfinite
    self._max_skipped_in_a_row = max_skipped_in_a_row
    self._unread = None  # A step whose loss has not been read.
    self._watch = interruption.Watch()
    self._common_signum = 0  # Of a signal that some host was sent.
    self._is_mute = False  # Whether the last line could not be printed.
    self._train_report = ''
    self._eval_reports = []
    self._warned_of_zero_rates = False
    super().__init__(
      *args, keep_last=keep_last, save_every=save_every, **kwargs
    )
    self._callbacks = [user_code.Callback(c) for c in self._callbacks]

  def _init_trainer(self, task):
    n_parts = accumulation.n_parts(
      task.sample_batch[0].shape[0],
      jax.device_count(),
      self._device_batch_size,
    )
    built = super()._init_trainer(task)
    if n_parts > 1:
      self._accumulate(built, n_parts, task)
    if self._skips_nonfinite:
      self._skip_nonfinite(built)
    return built

  def _accumulate(self, built, n_parts, task):
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
        loss_weights.index(self._model, task.loss_layer),
        devices.AXIS if self.is_parallel else None,
      ),
    )

  def _init_evaluator(self, eval_task):
    evaluator = super()._init_evaluator(eval_task)
    return evaluator._replace(
      metrics_fn=user_code.named('a metric of the evaluation')(
        evaluator.metrics_fn
      )
    )

  def _skip_nonfinite(self, built):
    if self._use_memory_efficient_trainer:
      raise UserError(
        'skip_nonfinite: got True beside use_memory_efficient_trainer, which '
        'changes weights layer by layer; leave one of them out'
      )
    if not self.is_parallel:  # Else the update does it on each device.
      finite.skip_batches(built)

  def run(self, n_steps=1):
    """Trains for `n_steps` and saves a checkpoint at the end.

    It stops after the current step at a signal, or if nobody reads its output
    any more. If an error ends it, the steps trained so far are saved first.

    Raises:
      Interrupted: If a signal or closed output stopped it, after saving.
      UserError: If another process writes to the output directory, a stream
        ends, a stream, callback or metric raises, a loss is not finite, or the
        last checkpoint cannot be written.
    """
    self._warn_of_zero_rates(n_steps)
    with (
      self._only_writer(),
      self._open_summary_writers() as (self._train_writers, self._eval_writers),
      reports.progress_bar(
        self.step, self.step + n_steps, is_hidden=not self.is_chief
      ) as self._bar,
      interruption.watching() as self._watch,
      self._saving(),
    ):
      self._start_time = time.time() - self._sums.seconds
      self._common_signum = 0
      self._save_if_from_elsewhere()
      if self._sums.is_eval_due:  # The last run stopped before evaluating.
        self._evaluate_if_due()
        self._save()
      for _ in range(n_steps):
        self._train_one_step()
        if self._signum is not None:
          break
        self._evaluate_if_due()
        if self._is_save_due():
          self._save()
      self._save()
    self._eval_model.weights = self._model.weights
    if self._signum is not None:
      signum, saved = self._signum, ''
      if self._output_dir:
        saved = ', all saved; the same command goes on from there'
      why = ' (nobody reads its output)' if signum == signal.SIGPIPE else ''
      raise interruption.Interrupted(
        f'stopped by {interruption.name(signum)}{why} at step {self.step}'
        f'{saved}',
        signum,
      )

  def _warn_of_zero_rates(self, n_steps):
    if self.is_chief and not self._warned_of_zero_rates:
      self._warned_of_zero_rates = reports.warn_of_zero_rates(
        lambda step: self._tasks[self._which_task(step)].learning_rate(step),
        self.step + 1,
        self.step + n_steps,
      )

  @property
  def _signum(self):
    """That of the signal to stop at: on several hosts the same at each step."""
    if jax.process_count() > 1:
      return self._common_signum or None
    return self._watch.signum

  def _own_signal(self):
    return self._watch.signum or 0

  def _train_one_step(self):
    with undoing.step_undone_on_error(self):
      before = self._which_task(self._step)
      self._step += 1
      self._task_index = self._which_task(self._step)
      is_other_task = self._task_index != before
      if is_other_task:
        self._read_losses()
        self._sums.loss, self._sums.n_steps = 0.0, 0
      loss, stats = self._run_one_step(self._task_index, is_other_task)
    labeled_data = self._tasks[self._task_index].labeled_data
    labeled_data.mark_done()
    # Reading a loss waits for the device. That of the step before is there by
    # now, or soon, and meanwhile the device has this step to do.
    self._read_losses()
    self._unread = (
      self._step,
      labeled_data.n_drawn,
      {**stats, 'loss': loss},
    )
    self._sums.is_eval_due = self._eval_at(self.step)
    for callback in self._callbacks:
      callback.raise_error()

  def _read_losses(self):
    """Adds up the step that has not been, and stops at what is not finite."""
    if self._unread is None:
      return
    (step, n_drawn, stats), self._unread = self._unread, None
    stats = finite.on_host(stats)
    is_shown = self._bar.update()
    signum = int(stats.pop(data_parallel.SIGNAL, 0))
    self._common_signum = self._common_signum or signum
    culprit = finite.culprit(stats)
    if stats.pop(finite.SKIPPED, False):
      self._count_skipped(step, culprit, n_drawn)
      return
    self._n_skipped_in_a_row = 0
    if culprit:
      raise finite.NotFiniteError(
        f'step {step}: {culprit}, with batch {n_drawn} of the stream; '
        f'{self._last_checkpoint()}; lower the learning rate, or skip such '
        "batches: --config='trax_hourglass.Loop.skip_nonfinite = True'"
      )
    self._sums.n_steps += 1
    self._sums.loss += stats['loss']
    for name, value in stats.items():
      self._sums.metrics[name] = self._sums.metrics.get(name, 0.0) + value
    if is_shown:
      loss = reports.format_loss(stats['loss'], self.measure)
      self._bar.set_postfix_str(loss + self.measure.remarks)

  def _count_skipped(self, step, culprit, n_drawn):
    """Says that a batch was skipped; stops where there is no end to it."""
    self._n_skipped += 1
    self._n_skipped_in_a_row += 1
    if self._n_skipped_in_a_row > self._max_skipped_in_a_row:
      raise finite.NotFiniteError(
        f'step {step}: {culprit}, with batch {n_drawn} of the stream, after '
        f'{self._max_skipped_in_a_row} batches in a row were skipped; '
        f'{self._last_checkpoint()}; lower the learning rate or look at the '
        'data'
      )
    warn(
      f'step {step}: {culprit}; batch {n_drawn} skipped, the '
      f'{self._n_skipped}. of this run'
    )

  def _evaluate_if_due(self):
    if not self._sums.is_eval_due:
      return
    self._read_losses()
    with (
      undoing.step_undone_on_error(self),
      undoing.history_undone_on_error(self.history),
    ):
      self._evaluate()
    for task in self._eval_tasks:
      task.labeled_data.mark_done()
    self._sums = resumable.Sums()
    self._start_time = time.time()

  def _evaluate(self):
    task_index = self._which_task(self._step)
    writer = self._train_writers[task_index]
    self._log_training_progress(
      task=self._tasks[task_index],
      total_loss=self._sums.loss if self._sums.n_steps else math.nan,
      n_steps=self._sums.n_steps,
      elapsed_time=time.time() - self._start_time,
      optimizer_metrics=self._sums.metrics,
      summary_writer=writer,
    )
    if self._n_skipped:
      self.log_summary(
        {'skipped batches': self._n_skipped}, writer, 'training/', 'train'
      )
    self.run_evals(self._eval_writers)

  def run_evals(self, summary_writers=None):
    """Evaluates the model on each evaluation task, see `evaluating.metrics`.

    Args:
      summary_writers: One for each task, by default none.
    """
    self._eval_reports = []
    self._eval_model.weights = self._model.weights
    self._eval_model.state = state = self._model.state
    # Trax takes keys of training's: its masks would follow from how often a run
    # evaluates.
    key = self._rng
    for i, task in enumerate(self._eval_tasks):
      evaluator = self._evaluator_per_task[i]
      writer = summary_writers and summary_writers[i]

      def metrics_fn(batch, evaluator=evaluator):
        values, _ = evaluator.metrics_fn(
          batch,
          (self._model.weights, evaluator.weights),
          (state, evaluator.state),
          self.new_rng(),
        )
        return values

      metrics = evaluating.metrics(task, self._eval_model, metrics_fn)
      self.log_summary(metrics, writer, 'metrics/', 'eval')
      summaries = dict(evaluating.summaries(state))
      self.log_summary(summaries, writer, 'summary_', 'eval')
    self._rng = key
    report = [f'step {self.step}', self._train_report, *self._eval_reports]
    if self.is_chief:
      self._say('  '.join(filter(None, report)) + self.measure.remarks)

  def _say(self, line):
    """Prints a line; if nobody reads it any more, the run saves and stops."""
    error = reports.say(line)
    if isinstance(error, BrokenPipeError):
      self._watch.signum = self._watch.signum or signal.SIGPIPE
    elif error and not self._is_mute:
      warn(f'stdout: cannot be written ({reason(error)}); training goes on')
    self._is_mute = error is not None

  def log_summary(
    self, values, summary_writer, value_prefix, log_prefix, stdout=True
  ):
    super().log_summary(
      values, summary_writer, value_prefix, log_prefix, stdout
    )
    if (log_prefix, value_prefix) == ('eval', 'metrics/'):
      self._eval_reports.append(reports.format_metrics(values))

  def _go_on(self):
    self._unread = None  # Losses of steps that the loop has gone back from.
    super()._go_on()

  def _save(self):
    self._read_losses()  # Nothing is saved that came of what is not finite.
    self._sums.seconds = time.time() - self._start_time
    super()._save()

  def _log_training_progress(
    self, task, total_loss, n_steps, elapsed_time, **kwargs
  ):
    with contextlib.redirect_stdout(io.StringIO()):  # An empty line.
      super()._log_training_progress(
        task, total_loss, n_steps, elapsed_time, **kwargs
      )
    loss = reports.format_loss(total_loss / max(1, n_steps), self.measure)
    self._train_report = f'{n_steps / elapsed_time:.3g} steps/s  train {loss}'

  def _log_step(self, msg, stdout=True):
    super()._log_step(msg, stdout=False)
