"""Trax's training loop on all devices, which resumes exactly."""

import jax
from trax.supervised import training

from trax_hourglass.distribution import hosts
from trax_hourglass.layers.metrics import Measure
from trax_hourglass.training import (
  batches,
  evaluating,
  interruption,
  options,
  progress,
  reports,
  summaries,
  trax_internals,
  updates,
  user_code,
)
from trax_hourglass.training.checkpoints import keeper, state


class Loop(training.Loop):
  """Trains as `trax.supervised.training.Loop` does, with its arguments.

  Those of `options.options` come beside them. Beyond Trax's, the loop uses all
  devices of all hosts, resumes as if nothing had stopped it, compiles its
  update once instead of twice, shows a progress bar and a line per evaluation,
  and raises a `UserError` where Trax goes on silently: at a loss that is not
  finite, a target beyond the model's outputs, a checkpoint of another
  architecture.

  `checkpoint_low_metric` and `checkpoint_high_metric` choose the checkpoint
  that is kept as the best, `permanent_checkpoint_at` those never removed.

  Attributes:
    configuration: Text saved in each checkpoint as `config.gin`, if any.
    measure: What its bits are counted over, and what it prints beside them.
  """

  def __init__(
    self,
    *args,
    device_batch_size=None,
    keep_last=3,
    save_every=None,
    skip_nonfinite=False,
    max_skipped_in_a_row=100,
    save_every_minutes=30,
    **kwargs,
  ):
    user_code.check_subclass(type(self), Loop)
    options.options(
      device_batch_size,
      keep_last,
      save_every,
      skip_nonfinite,
      max_skipped_in_a_row,
      save_every_minutes,
    )
    bound, callbacks = options.bind(args, kwargs, save_every)
    given = bound.arguments
    eval_tasks = options.listed(given['eval_tasks'])
    self.configuration = None
    self.measure = Measure()
    self._trax = trax_internals.Internals(self)
    self._streams = batches.Streams(
      given['model'], options.listed(given['tasks']), eval_tasks
    )
    self._watch = interruption.Watch(is_shared=jax.process_count() > 1)
    self._reports = reports.Reports(self._watch, is_silent=not hosts.is_first())
    self._keeper = keeper.Keeper(
      given['output_dir'],
      keep_last,
      (given['checkpoint_low_metric'], given['checkpoint_high_metric']),
      [name for task in eval_tasks for name in task.metric_names],
      save_every_minutes,
    )
    self._progress = progress.Progress(
      max_skipped_in_a_row, self._keeper.describe_last
    )
    self._train_report = ''
    builder = updates.Builder(
      given['model'],
      given['eval_model'] or given['model'],
      device_batch_size=device_batch_size,
      skip_nonfinite=skip_nonfinite,
      is_memory_efficient=given['use_memory_efficient_trainer'],
      adasum=given['adasum'],
      own_signal=lambda: self._watch.own,
    )
    with (
      self._trax.builders(builder.trainer, builder.evaluator),
      self._trax.one_model(given['model'], given['eval_model']),
    ):
      super().__init__(*bound.args, **bound.kwargs)
    self._streams.check(self)
    self._user_callbacks = user_code.Callbacks(self, callbacks)

  def run(self, n_steps=1):
    """Trains for `n_steps` and saves a checkpoint at the end.

    If an error ends it, the steps trained so far are saved first.

    Raises:
      Interrupted: If a signal, or output that nobody reads any more, stopped it
        after a step and saving.
      UserError: If another process writes to the output directory, a stream
        ends, a stream, callback or metric raises, a loss is not finite, or the
        last checkpoint cannot be written.
    """
    self._watch.start()
    last = self.step + n_steps
    # If the step it resumes from was evaluated, its summaries are there.
    first_summary = self.step + (not self.is_eval_due)
    self._reports.warn_of_zero_rates(
      lambda step: self._task_at(step).learning_rate(step), self.step + 1, last
    )
    with (
      self._keeper.locked(),
      summaries.opened(
        self._trax.train_dirs, self._trax.eval_dirs, first_summary
      ) as writers,
      self._reports.progress_bar(self.step, last),
      interruption.watching(self._watch),
      self._keeper.saving(self, self._save),
    ):
      self._progress.start_clock()
      if self._keeper.has_others():
        self._save()
      if self.is_eval_due:  # The last run stopped before it.
        self._evaluate(writers)
        self._save()
      for _ in range(0 if self._watch.signum else n_steps):
        self._train_one_step()
        if self.is_eval_due and not self._watch.signum:
          self._evaluate(writers)
        if self._watch.signum:
          break
        if self._is_save_due():
          self._save()
      self._save()
    self.eval_model.weights = self.model.weights
    if self._watch.signum:
      raise self._watch.interrupted(self.step, is_saved=bool(self.output_dir))

  @property
  def is_eval_due(self) -> bool:
    """Whether a run stopped before the evaluation at its last step."""
    return self._progress.sums.is_eval_due

  def _task_at(self, step):
    return self.tasks[self._trax.which_task(step)]

  def _train_one_step(self):
    with self._trax.restored_on_error():
      before = self._trax.which_task(self.step)
      self._trax.step += 1
      task_index = self._trax.which_task(self.step)
      is_other_task = task_index != before
      if is_other_task:
        self._read_losses()
        self._progress.start_over()
      stats = self._update(task_index, is_other_task)
    stream = self.tasks[task_index].labeled_data
    stream.mark_done()
    self._read_losses()
    self._progress.put(self.step, stream.n_drawn, stats)
    self._progress.sums.is_eval_due = self._trax.eval_at(self.step)
    # The step is complete now, even if a callback raises.
    self._user_callbacks.call('on_step_end', self.step)

  def _update(self, task_index, is_other_task):
    """Updates the model by a batch of a task; returns the statistics."""
    task = self.tasks[task_index]
    self._user_callbacks.call('on_step_begin', self.step)
    learning_rate = task.learning_rate(self.step)
    batch = self._streams.next_batch(task)
    rng = self.new_rng()
    if is_other_task:
      self.update_weights_and_state(self.model.weights, self.model.state)
    loss, stats = self._trax.trainers[task_index].one_step(
      batch, rng, step=self.step, learning_rate=learning_rate
    )
    self._keeper.mark_changed()
    if self.eval_model is not self.model:
      # The memory of its old weights may have been reused for the new ones.
      self.eval_model.weights = self.model.weights
    return {**stats, 'loss': loss}

  def _read_losses(self):
    """Adds the last step to the totals, unless that was done."""
    step = self._progress.read()
    if step is None:
      return
    is_drawn = self._reports.bar.update()
    stats = step[-1]
    self._watch.hear(int(stats.pop(updates.SIGNAL, 0)))
    if self._progress.add(*step) and is_drawn:
      loss = reports.format_loss(stats['loss'], self.measure)
      self._reports.bar.set_postfix_str(loss + self.measure.remarks)

  def _evaluate(self, writers):
    """Evaluates; if a signal comes, that is left to the next run."""
    self._read_losses()
    train_writers, eval_writers = writers
    try:
      with (
        self._trax.restored_on_error(),
        self._trax.history_restored_on_error(),
        self._watch.evaluation(),
      ):
        self._log_training(train_writers[self._trax.which_task(self.step)])
        self.run_evals(eval_writers)
    except interruption.Stopped:
      return
    for task in self.eval_tasks:
      task.labeled_data.mark_done()
    self._progress.start_over()

  def _log_training(self, writer):
    """Logs training since the last evaluation."""
    task = self._task_at(self.step)
    loss, rate, metrics = self._progress.means()
    self.log_summary({task.loss_name: loss}, writer, 'metrics/', 'train')
    if self.step == 1:
      if self.configuration is None:
        self._trax.save_gin(writer)
      elif writer is not None:
        writer.configuration(self.configuration)
    metrics = {'learning_rate': task.learning_rate(self.step), **metrics}
    self.log_summary(metrics, writer, 'training/', 'train')
    loss = reports.format_loss(loss, self.measure)
    self._train_report = f'{rate:.3g} steps/s  train {loss}'

  def run_evals(self, summary_writers=None):
    """Evaluates the model on each task, optionally with a writer for each."""
    self.eval_model.weights = self.model.weights
    self.eval_model.state = self.model.state
    summary_writers = summary_writers or [None] * len(self.eval_tasks)
    report = [f'step {self.step}', self._train_report]
    key = self._trax.rng
    for task, evaluator, writer in zip(
      self.eval_tasks, self._trax.evaluators, summary_writers, strict=True
    ):
      metrics = evaluating.metrics(
        task, self.eval_model, evaluator, self.new_rng, self._next_eval_batch
      )
      report.append(reports.format_metrics(metrics))
      self.log_summary(metrics, writer, 'metrics/', 'eval')
      printable = dict(evaluating.summaries(self.model.state))
      self.log_summary(printable, writer, 'summary_', 'eval')
    self._trax.rng = key  # Else dropout would depend on how often it evaluates.
    line = '  '.join(filter(None, report)) + self.measure.remarks
    self._reports.say(line)

  def _next_eval_batch(self, task):
    batch = self._streams.next_batch(task)
    self._watch.check()
    return batch

  def log_summary(
    self, values, summary_writer, value_prefix, log_prefix, stdout=True
  ):
    """Logs as Trax does, but prints nothing."""
    super().log_summary(
      values, summary_writer, value_prefix, log_prefix, stdout=False
    )

  def update_weights_and_state(self, weights=None, state=None):
    super().update_weights_and_state(weights, state)
    self._keeper.mark_changed()

  def _is_save_due(self):
    """Returns whether to save a checkpoint of this step, after evaluation."""
    return (
      self._trax.checkpoint_at(self.step)
      or self._trax.permanent_at(self.step)
      or (self._keeper.keeps_best and self._trax.eval_at(self.step))
      or self._keeper.is_save_due()
    )

  def _save(self):
    self._read_losses()  # Nothing is saved after a loss that is not finite.
    self._keeper.save(
      self,
      {
        **state.to_host({'rng': self._trax.rng, **self._progress.state()}),
        **self._streams.positions(),
      },
      is_permanent=bool(self._trax.permanent_at(self.step)),
    )

  def save_checkpoint(self, basename):
    """Writes a checkpoint as Trax does, which `load_checkpoint` reads, too."""
    # Else Trax prints so every time.
    if self.output_dir is not None and self.is_chief:
      super().save_checkpoint(basename)
      self._keeper.include(basename)

  def load_checkpoint(self, directory=None, filename=None):
    """Resumes from a checkpoint; Trax's constructor calls it, too.

    If it is not the newest in the output directory, the next `run` sets aside
    those that do not lead to it, with a warning that says where they are.

    Args:
      directory: A path as for `find_checkpoint`, the output directory by
        default, which may have none.
      filename: The checkpoint's name without `.pkl.gz`, `model` by default.

    Raises:
      UserError: If it is of another model, or there are some and all are
        damaged.
    """
    path = self._keeper.find(directory, filename)
    extra = None
    if path:
      extra = state.restore(self, path)
      self._progress.restore(extra)
      self._keeper.start(path, self.step)
    self._keeper.check_same_on_hosts(self.step)
    if not updates.is_parallel() and not self._trax.is_memory_efficient:
      for trainer in self._trax.trainers:
        trax_internals.commit(trainer, jax.local_devices()[0])
    if extra is not None:
      self._trax.rng = extra['rng']
      self._streams.seek(extra)
