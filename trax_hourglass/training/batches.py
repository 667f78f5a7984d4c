"""The streams of a loop's tasks, with their batches counted and checked."""

from collections.abc import Iterator, Sequence
import copy
import io
import pickle

import numpy as np

from trax_hourglass.data import streams
from trax_hourglass.errors import UserError, warn
from trax_hourglass.layers.checks import check_segments, check_tokens
from trax_hourglass.models.hourglass_lm import DocumentModel, LanguageModel
from trax_hourglass.training import trax_internals, user_code
from trax_hourglass.training.checkpoints import pickles


class Batches:
  """The batches that a loop draws for a task.

  A position in the stream is counted in examples, so that a run may resume with
  another batch size. A stream with `get_state` and `set_state` is resumed by
  these; its state is made of lists, dictionaries, numbers, strings, bytes and
  arrays.

  Attributes:
    stream: The iterator that they come from.
    name: The name of the stream in messages.
    n_drawn: How many were drawn, over all runs in this output directory. The
      very first, from which the loop takes the shape, is not counted.
    position: Where a resumed run goes on: after the batches that were used in
      completed steps or evaluations.
  """

  def __init__(
    self, stream: Iterator, batch_size: int = 1, name: str = 'stream'
  ):
    self.stream = stream
    self.name = name
    self.n_drawn = 0
    self._batch_size = batch_size
    self._n_before = batch_size  # Examples before the first counted batch.
    self.mark_done()

  def __iter__(self):
    return self

  def __next__(self):
    batch = self._draw()
    self.n_drawn += 1
    return batch

  def _draw(self):
    with user_code.named(f'{self.name}, after {self.n_drawn:,} batches,'):
      try:
        return next(self.stream)
      except StopIteration as end:
        raise UserError(
          f'{self.name}: ended after {self.n_drawn:,} batches (not counting '
          'the first, used for its shape); give one that does not end'
        ) from end

  def mark_done(self) -> None:
    """Records that all batches drawn so far were trained on or evaluated."""
    state = self.stream.get_state() if self._has_state else None
    self.position = {
      'n_drawn': self.n_drawn,
      'n_examples': self._n_before + self.n_drawn * self._batch_size,
      'batch_size': self._batch_size,
      'state': copy.deepcopy(state),
    }

  def check_state(self) -> None:
    """Raises `UserError` if the state of the stream cannot be saved."""
    try:
      pickles.load(io.BytesIO(pickle.dumps(self.position['state'])))
    except (pickle.PickleError, TypeError, AttributeError) as error:
      raise UserError(
        f'{self.name}: its get_state returned {error}, expected lists, '
        'dictionaries, numbers, strings, bytes and arrays'
      ) from error

  @property
  def _has_state(self):
    return hasattr(self.stream, 'get_state') and hasattr(
      self.stream, 'set_state'
    )

  def start_evaluation(self, n: int) -> int:
    """Returns how many of the next batches an evaluation of `n` takes.

    A stream of this package starts over, so these are always the same batches,
    fewer than `n` if it has fewer. Any other stream goes on.
    """
    if not isinstance(self.stream, streams.Repeated):
      return n
    self.stream.restart()
    return min(n, self.stream.n_batches)

  def seek(
    self,
    n_drawn: int,
    n_examples: int | None = None,
    batch_size: int | None = None,
    state=None,
  ) -> None:
    """Goes to a `position` of an earlier loop.

    Streams of this package skip examples. From others batches are drawn again,
    which leads to the same place if the stream depends on its seed alone.

    Raises:
      UserError: If the stream ends before, or raises.
    """
    size = self._batch_size
    starts_over = isinstance(self.stream, streams.Repeated)
    if n_examples is None:  # As saved by earlier versions.
      n_examples = (1 + n_drawn) * size
    elif batch_size != size and not starts_over:
      warn(
        f'{self.name}: the batch size is {size} now; going on with example '
        f'{n_examples:,}'
      )
    n = n_examples - self._n_before - self.n_drawn * size
    if state is None and n < 0 and not starts_over:
      warn(f'{self.name}: cannot go back {-n:,} examples, so it goes on')
      return
    with user_code.named(self.name):
      if state is not None and self._has_state:
        self.stream.set_state(state)
      elif isinstance(self.stream, streams.Stream):
        self.stream.skip_examples(n)
      elif not starts_over:
        self._skip_batches(*divmod(n, size))
        n_examples -= n % size
    self.n_drawn = max(0, n_examples // size - 1)
    self._n_before = n_examples - self.n_drawn * size
    self.mark_done()

  def _skip_batches(self, n, n_left):
    if n_left:
      warn(f'{self.name}: {n_left} examples come again, to begin with a batch')
    if hasattr(self.stream, 'skip'):
      self.stream.skip(n)
      return
    if n:
      warn(f'{self.name}: drawing {n:,} batches again to reach the next one')
    for i in range(n):
      if next(self.stream, None) is None:
        raise UserError(
          f'{self.name}: got the end of the stream after {i:,} batches, '
          f'expected the {n:,} that the run has drawn; give the same data'
        )


class Streams:
  """The streams of all tasks of a loop.

  Each task's is replaced by a `Batches`, unless an earlier loop has done so.

  Raises:
    UserError: If the model takes segments that batches don't have, or the other
      way round.
  """

  def __init__(self, model, tasks: Sequence, eval_tasks: Sequence):
    self._tasks, self._eval_tasks = tasks, eval_tasks
    self._check = _no_check
    for task in tasks:
      _check_arrays(model, task)
    _count(tasks, 'training stream')
    _count(eval_tasks, 'evaluation stream')

  def check(self, loop) -> None:
    """Makes `next_batch` raise at targets beyond the model's logits.

    XLA would take the nearest embedding for such a token, and the loss ignores
    it. In a language model the targets are the inputs; in a classifier the
    outputs bound the targets only.

    Raises:
      UserError: If a task's first batch has such a target, or the state of its
        stream cannot be saved.
    """
    self._check = _target_check(loop)
    for task in (*self._tasks, *self._eval_tasks):
      self._check(task.sample_batch)
      task.labeled_data.check_state()
    if not loop.is_chief:
      return
    for task in self._eval_tasks:
      stream, n = task.labeled_data.stream, task.n_eval_batches
      if isinstance(stream, streams.Repeated) and stream.n_batches < n:
        warn(
          f'evaluation: got {n} batches (train.eval_steps), but the data has '
          f'{stream.n_batches}; each evaluation uses all of them once'
        )

  def next_batch(self, task):
    """Returns the next batch of a task, which may be of a subclass of Trax's.

    Raises:
      UserError: If the stream ends, the task raises, or a target is bad.
    """
    with user_code.named(task.labeled_data.name):
      batch = task.next_batch()
    self._check(batch)
    return batch

  def positions(self) -> dict[str, list]:
    """Returns the positions in the streams, for a checkpoint."""
    train, evaluation = (
      [task.labeled_data.position for task in tasks]
      for tasks in (self._tasks, self._eval_tasks)
    )
    return {
      'positions': [train, evaluation],
      # Read by earlier versions.
      'n_drawn': [one['n_drawn'] for one in train],
      'n_eval_drawn': [one['n_drawn'] for one in evaluation],
    }

  def seek(self, saved: dict) -> None:
    """Goes to saved `positions`, even if evaluations were added or removed."""
    positions = saved.get('positions') or [
      [{'n_drawn': n} for n in saved[name]]
      for name in ('n_drawn', 'n_eval_drawn')
    ]
    for tasks, group in zip(
      (self._tasks, self._eval_tasks), positions, strict=True
    ):
      for task, position in zip(tasks, group, strict=False):
        task.labeled_data.seek(**position)


def _check_arrays(model, task):
  """Raises `UserError` if batches and a language model differ over segments."""
  if not isinstance(model, LanguageModel):
    return
  got = len(task.sample_batch)
  most = model.n_in + 2  # Targets and loss weights.
  least = model.n_in + task.loss_layer.n_in - model.n_out
  if got < least or got > most:
    raise UserError(
      f'a batch: got {got} arrays, expected {most} for HourglassLM.documents = '
      f'{isinstance(model, DocumentModel)}; set document_inputs.segments alike'
    )


def _count(tasks, name):
  for i, task in enumerate(tasks):
    batches = task.labeled_data
    if not isinstance(batches, Batches):
      batches = Batches(batches, batch_size=len(task.sample_batch[0]))
      trax_internals.set_stream(task, batches)
      if task.labeled_data is not batches:
        raise UserError(
          f'{name}: {type(task).__name__} has a labeled_data of its own, whose '
          'batches cannot be counted; give its constructor that iterator, or '
          'override next_batch'
        )
    batches.name = f'{name} {i + 1}' if len(tasks) > 1 else name
    batches.mark_done()


def _target_check(loop):
  """Returns a check of the targets in a batch, if they are tokens."""
  internals = trax_internals.Internals(loop)
  if internals.is_memory_efficient:
    return _no_check  # Its model is initialised in pieces, without a signature.
  model, signature = loop.model, internals.signature
  n_in = model.n_in
  if model.n_out != 1 or len(signature) <= n_in:
    return _no_check
  *inputs, targets = signature[: n_in + 1]
  logits = model.output_signature(inputs[0] if n_in == 1 else inputs)
  is_integer = np.issubdtype(targets.dtype, np.integer)
  if not is_integer or logits.shape[:-1] != targets.shape:
    return _no_check
  vocab_size = logits.shape[-1]

  def check(batch):
    check_tokens(batch[n_in], vocab_size, 'a batch')
    if isinstance(model, DocumentModel):
      check_segments(*batch[:n_in], model.multiple)

  return check


def _no_check(batch):
  del batch
