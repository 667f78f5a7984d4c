"""The streams of a loop's tasks, with their batches counted and checked."""

from collections.abc import Callable, Iterator, Sequence
import itertools

import numpy as np

from trax_hourglass.data import streams
from trax_hourglass.errors import UserError, warn
from trax_hourglass.layers.checks import check_tokens
from trax_hourglass.training import trax_internals, user_code


class Batches:
  """The batches that a loop draws for a task.

  Attributes:
    stream: The iterator that they come from.
    check: Function that raises at a bad batch; by default all are good.
    n_drawn: How many were drawn, over all runs in this output directory. The
      very first, from which the loop takes the shape, is not counted.
    n_done: How many of those were used in completed steps or evaluations, as
      saved in checkpoints: a resumed run draws the others again.
  """

  def __init__(
    self,
    stream: Iterator,
    check: Callable | None = None,
    n_drawn: int = 0,
    name: str = 'stream',
  ):
    self.stream = stream
    self.check = check or _no_check
    self.n_drawn = self.n_done = n_drawn
    self._name = name

  def __iter__(self):
    return self

  def __next__(self):
    batch = self._draw()
    self.n_drawn += 1
    self.check(batch)
    return batch

  def _draw(self):
    with user_code.named(f'{self._name}, after {self.n_drawn:,} batches,'):
      try:
        return next(self.stream)
      except StopIteration as end:
        raise UserError(
          f'{self._name}: ended after {self.n_drawn:,} batches (not counting '
          'the first, used for its shape); give one that does not end'
        ) from end

  def mark_done(self) -> None:
    """Records that all batches drawn so far were trained on or evaluated."""
    self.n_done = self.n_drawn

  def evaluation(self, n: int) -> Iterator:
    """Returns `n` batches for an evaluation.

    A stream of this package starts over, so these are always the same batches,
    fewer than `n` if it has fewer. Any other stream gives its next batches.
    """
    if isinstance(self.stream, streams.Repeated):
      self.stream.restart()
      n = min(n, self.stream.n_batches)
    return itertools.islice(self, n)

  def seek(self, n_drawn: int) -> None:
    """Goes to the batch after the first `n_drawn`.

    Streams of this package skip. From others the batches are drawn again, which
    leads to the same place if the stream depends on its seed alone.

    Raises:
      UserError: If the stream ends before, or raises.
    """
    n = n_drawn - self.n_drawn
    if n < 0:
      warn(f'data: the stream cannot go back {-n} batches, so it goes on')
      return
    with user_code.named(self._name):
      if hasattr(self.stream, 'skip'):
        self.stream.skip(n)
      else:
        self._draw_again(n, n_drawn)
    self.n_drawn = self.n_done = n_drawn

  def _draw_again(self, n, n_drawn):
    if n:
      warn(f'data: drawing {n:,} batches again to reach the next one')
    for i in range(n):
      if next(self.stream, None) is None:
        raise UserError(
          f'data: got the end of the stream after {i:,} batches, expected '
          f'the {n_drawn:,} that the run has drawn; give the same data'
        )


class Streams:
  """The streams of all tasks of a loop.

  Each task's is replaced by a `Batches`, which keeps the position of a task
  used by an earlier loop.
  """

  def __init__(self, tasks: Sequence, eval_tasks: Sequence):
    self._tasks, self._eval_tasks = tasks, eval_tasks
    _count(tasks, 'training stream')
    _count(eval_tasks, 'evaluation stream')

  def check(self, loop) -> None:
    """Makes batches raise whose targets are beyond the model's logits.

    XLA would take the nearest embedding for such a token, and the loss ignores
    it. In a language model the targets are the inputs; in a classifier the
    outputs bound the targets only.

    Raises:
      UserError: If a task's first batch has such a target.
    """
    check = _target_check(loop)
    for task in (*self._tasks, *self._eval_tasks):
      check(task.sample_batch)
      task.labeled_data.check = check
    if loop.is_chief:
      self._warn_if_too_short()

  def _warn_if_too_short(self):
    for task in self._eval_tasks:
      stream, n = task.labeled_data.stream, task.n_eval_batches
      if isinstance(stream, streams.Repeated) and stream.n_batches < n:
        warn(
          f'evaluation: got {n} batches (train.eval_steps), but the data has '
          f'{stream.n_batches}; each evaluation uses all of them once'
        )

  def positions(self) -> dict[str, list[int]]:
    """Returns the positions in the streams, for a checkpoint."""
    return {
      'n_drawn': [task.labeled_data.n_done for task in self._tasks],
      'n_eval_drawn': [task.labeled_data.n_done for task in self._eval_tasks],
    }

  def seek(self, positions) -> None:
    """Goes to saved `positions`, even if evaluations were added or removed."""
    tasks = (*self._tasks, *self._eval_tasks)
    n_drawn = (*positions['n_drawn'], *positions['n_eval_drawn'])
    for task, n in zip(tasks, n_drawn, strict=False):
      task.labeled_data.seek(n)


def _count(tasks, name):
  for i, task in enumerate(tasks):
    batches = task.labeled_data
    if not isinstance(batches, Batches):
      batches = Batches(batches)
    numbered = f'{name} {i + 1}' if len(tasks) > 1 else name
    trax_internals.set_stream(
      task, Batches(batches.stream, n_drawn=batches.n_drawn, name=numbered)
    )


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
  return lambda batch: check_tokens(batch[n_in], vocab_size, 'a batch')


def _no_check(batch):
  del batch
