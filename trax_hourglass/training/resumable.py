"""Trax's loop with checkpoints that are whole, and a resume that is exact."""

import contextlib
import dataclasses
import inspect
import itertools
import os

from absl import logging
from trax.supervised import training

from trax_hourglass.distribution import hosts
from trax_hourglass.errors import UserError, warn
from trax_hourglass.training import batches, data_parallel, finite
from trax_hourglass.training.checkpoints import (
  find,
  folders,
  format,
  lineage,
  locking,
  saver,
)
from trax_hourglass.training.checkpoints.state import check_counters, restore

# Of Trax's own: `trax_hourglass.train` puts ours in its place.
_ARGUMENTS = inspect.signature(training.Loop)


@dataclasses.dataclass
class Sums:
  """What has come together since the last evaluation."""

  loss: float = 0.0
  n_steps: int = 0
  seconds: float = 0.0
  metrics: dict[str, float] = dataclasses.field(default_factory=dict)
  is_eval_due: bool = False


class ResumableLoop(data_parallel.Loop):
  """Goes on from its last checkpoint as if nothing had stopped it.

  Its checkpoints hold what Trax's lack: the random key, how many batches of
  each stream were drawn, and the sums that the next evaluation reports.

  Trax's `checkpoint_low_metric` and `checkpoint_high_metric` choose which
  checkpoint is kept as the best, and `permanent_checkpoint_at` which for ever.

  Attributes:
    configuration: Text saved in each checkpoint as `config.gin`; `None` for no
      such file.
  """

  def __init__(self, *args, keep_last=3, save_every=None, **kwargs):
    """Arguments are those of Trax's loop and of `options.options`."""
    self.configuration = None
    self._keep_last = keep_last
    self._saver = self._restored = None
    self._is_saved = False  # Whether a checkpoint of the current state exists.
    self._sums = Sums()
    self._n_skipped = self._n_skipped_in_a_row = 0
    self._is_built = False
    arguments = _ARGUMENTS.bind(*args, **kwargs).arguments
    output_dir = arguments.get('output_dir')
    check_counters(output_dir)
    self._lineage = lineage.Lineage(
      output_dir and os.path.expanduser(output_dir)
    )
    super().__init__(*args, **kwargs)
    if save_every is not None:
      self._checkpoint_at = lambda step: step % save_every == 0
    self._check_metrics()
    batches.count(self)
    self._is_built = True
    self._go_on()

  def _check_metrics(self):
    known = [name for task in self._eval_tasks for name in task.metric_names]
    for name in (self._checkpoint_low_metric, self._checkpoint_high_metric):
      if name is not None and name not in known:
        raise UserError(
          f'checkpoint_lowest or checkpoint_highest: got {name!r}, expected '
          f'one of the metrics {known}'
        )

  def _is_save_due(self):
    """Returns whether to save a checkpoint of this step, after evaluation."""
    if self._keeps_best and self._eval_at(self.step):
      return True
    at = self._checkpoint_at, self._permanent_checkpoint_at
    return any(is_at(self.step) for is_at in at)

  @property
  def _keeps_best(self):
    best = self._checkpoint_low_metric, self._checkpoint_high_metric
    return best != (None, None)

  def _save(self):
    """Saves a checkpoint of the current state, for `load_checkpoint`.

    If it exists already, only the metrics of a later evaluation are recorded.
    """
    if self._saver is None:
      return
    if self._is_saved:
      if self.is_chief:
        self._saver.record(self._metrics_of_this_step())
      return
    files = saver.snapshot(
      self,
      {
        'rng': self._rng,
        'sums': dataclasses.asdict(self._sums),
        'n_skipped': self._n_skipped,
        'n_skipped_in_a_row': self._n_skipped_in_a_row,
        'n_drawn': [task.labeled_data.n_done for task in self._tasks],
        'n_eval_drawn': [task.labeled_data.n_done for task in self._eval_tasks],
      },
    )
    if self.is_chief:
      self._saver.save(
        self.step,
        files,
        permanent=bool(self._permanent_checkpoint_at(self.step)),
        metrics=self._metrics_of_this_step(),
      )
    self._is_saved = True

  def _save_if_from_elsewhere(self):
    """Saves the current state if the directory has checkpoints of another run.

    Those are set aside once this checkpoint is on disk.
    """
    if self._output_dir and self.is_chief and self._lineage.others():
      self._save()

  def _run_one_step(self, task_index, task_changed):
    outputs = super()._run_one_step(task_index, task_changed)
    self._is_saved = False
    return outputs

  def update_weights_and_state(self, weights=None, state=None):
    super().update_weights_and_state(weights, state)
    self._is_saved = False

  def _last_checkpoint(self):
    if self._saver is None:
      return 'there is no checkpoint'
    self._saver.wait()
    if self._saver.path is None:
      return 'there is no checkpoint yet'
    return f'the last good checkpoint is {self._saver.path}'

  def _metrics_of_this_step(self):
    names = self.history.metrics_for_mode('eval')
    newest = {name: self.history.get('eval', name)[-1] for name in names}
    return {
      name.removeprefix('metrics/'): float(value)
      for name, (step, value) in newest.items()
      if name.startswith('metrics/') and step == self.step
    }

  def load_checkpoint(self, directory=None, filename=None):
    """Goes on from a checkpoint.

    If it is not the newest in the output directory, the next `run` sets aside
    those that do not lead to it, with a warning that says where they are.

    Args:
      directory: What `find_checkpoint` takes, the output directory by default;
        there may be none in that.
      filename: The checkpoint's name without `.pkl.gz`, `model` by default.

    Raises:
      UserError: If it is of another model, or there are some and all are
        damaged.
    """
    if directory is None and filename is None:
      with self._only_writer():
        if self._output_dir and self.is_chief:
          self._clean()
        path = self._output_dir and find.newest_whole(
          self._output_dir, set_aside=self.is_chief
        )
    else:
      path = directory or self._output_dir or ''
      if filename is not None:
        path = os.path.join(path, filename + format.SUFFIX)
      path = find.find_checkpoint(path)
    if path:
      self._restored = restore(self, path)
      self._sums, self._n_skipped, self._n_skipped_in_a_row = Sums(), 0, 0
      self._lineage.start(path, self.step)
      self._is_saved = self._lineage.newest_folder() is not None
    hosts.check_same(
      'step',
      self.step,
      'output_dir must be on a file system that all hosts share',
    )
    # Hosts may be at the same step of different trajectories.
    hosts.check_same(
      'checkpoint',
      int((self._lineage.newest or '0')[:12], 16),
      'output_dir must be on a file system that all hosts share',
    )
    self._commit_to_device()
    if self._is_built:
      self._go_on()

  def _clean(self):
    try:
      folders.clean(self._output_dir)
    except OSError as error:
      warn(f'{error.filename}: cannot be removed ({error.strerror})')

  def save_checkpoint(self, basename):
    """Writes a checkpoint as Trax does, which `load_checkpoint` reads, too."""
    # Else Trax prints so every time.
    if self._output_dir is not None and self.is_chief:
      super().save_checkpoint(basename)
      path = os.path.join(self._output_dir, basename + format.SUFFIX)
      self._lineage.include(path)

  def _go_on(self):
    """Takes up what Trax has no place for in a checkpoint."""
    extra, self._restored = self._restored, None
    if extra is None:
      return
    self._rng = extra['rng']
    self._sums = Sums(**extra['sums'])
    self._n_skipped = extra['n_skipped']
    # Checkpoints of earlier versions have none.
    self._n_skipped_in_a_row = extra.get('n_skipped_in_a_row', 0)
    tasks = (*self._tasks, *self._eval_tasks)
    n_drawn = (*extra['n_drawn'], *extra['n_eval_drawn'])
    # Evaluations may have come or gone since.
    for task, n in zip(tasks, n_drawn, strict=False):
      task.labeled_data.seek(n)

  @contextlib.contextmanager
  def _saving(self):
    """Lets the body save, and waits for what it has saved."""
    if self._output_dir is None:
      yield
      return
    has_failed = self._saver is not None and self._saver.has_failed
    if has_failed or self._lineage.newest_folder() is None:
      self._is_saved = False
    if self.is_chief and self._lineage.stored():
      self._set_aside_others()
    self._saver = saver.Saver(
      self._output_dir,
      self._lineage,
      self._keep_last,
      self._checkpoint_low_metric,
      self._checkpoint_high_metric,
    )
    if self.is_chief:
      self._saver.link()
    before = self.step
    try:
      yield
    except finite.NotFiniteError:
      self._saver.wait()
      raise
    except BaseException as error:
      note = self._save_after_error(is_new=self.step != before)
      if isinstance(error, UserError):
        error.args = (f'{error}; {note}',)
      else:
        error.add_note(note)
      raise
    self._saver.finish()

  def _save_after_error(self, is_new):
    """Saves the steps before an error, if possible; returns a note about that.

    An error in user code leaves the state of the last step. Any other may leave
    weights that cannot be read.
    """
    try:
      if is_new:
        self._save()
      self._saver.finish()
    except UserError as error:
      return str(error)
    except Exception as error:
      logging.debug('While saving', exc_info=error)
      return self._last_checkpoint()
    if not self.is_chief:
      return (
        f'step {self.step} is saved if the first host stopped there, too; the '
        'same commands go on from the last checkpoint'
      )
    if self._saver.path is None:
      return self._last_checkpoint()
    step = self._saver.step
    return f'step {step} is saved; the same command goes on from there'

  def _set_aside_others(self):
    try:
      self._lineage.set_aside_others(self.step)
    except OSError as error:
      raise UserError(
        f'{self._output_dir}: checkpoints of another trajectory cannot be set '
        f'aside ({error}); move them away or give another directory'
      ) from error

  @contextlib.contextmanager
  def _open_summary_writers(self):
    with super()._open_summary_writers() as writers:
      # If the step it goes on from was evaluated, its summaries are there.
      first = self.step if self._sums.is_eval_due else self.step + 1
      for writer in filter(None, itertools.chain(*writers)):
        writer.start(first)
      yield writers

  def _only_writer(self):
    if self._output_dir is None or not self.is_chief:
      return contextlib.nullcontext()
    return locking.locked(self._output_dir)
