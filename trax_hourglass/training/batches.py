"""A task's stream of batches, counted and checked."""

from collections.abc import Iterator
import itertools

import numpy as np

from trax_hourglass.data import streams
from trax_hourglass.errors import UserError, warn
from trax_hourglass.layers.checks import check_tokens
from trax_hourglass.training import user_code


class Batches:
  """The batches that a loop draws for a task.

  Attributes:
    stream: Where they come from.
    n_drawn: How many those are, over all runs in this output directory; the one
      before them, which the loop knows their shape by, is not counted.
    n_done: How many of them belong to steps or evaluations that were completed.
      A checkpoint counts these: the rest is drawn again by who goes on from it.
  """

  def __init__(
    self, stream: Iterator, check, n_drawn: int = 0, name: str = 'stream'
  ):
    """Counts on from `n_drawn`; `check` raises at a bad batch."""
    self.stream = stream
    self._check = check
    self._name = name
    self.n_drawn = self.n_done = n_drawn

  def __iter__(self):
    return self

  def __next__(self):
    batch = self._draw()
    self.n_drawn += 1
    self._check(batch)
    return batch

  def _draw(self):
    with user_code.named(f'{self._name}, after {self.n_drawn:,} batches,'):
      try:
        return next(self.stream)
      except StopIteration as end:
        raise UserError(
          f'{self._name}: ended after {self.n_drawn:,} batches, beside the '
          'first, which only gives shapes; give one that goes on'
        ) from end

  def mark_done(self) -> None:
    """Notes that what was drawn has been trained on, or evaluated."""
    self.n_done = self.n_drawn

  def evaluation(self, n: int) -> Iterator:
    """Returns the batches of an evaluation of `n` of them.

    Of a stream of this package those are always the same ones, the first, and
    no more than it has; of others the next ones.
    """
    if isinstance(self.stream, streams.Repeated):
      self.stream.restart()
      n = min(n, self.stream.n_batches)
    return itertools.islice(self, n)

  def seek(self, n_drawn: int) -> None:
    """Goes on after the first `n_drawn` batches.

    Streams of this package skip them; of others they are drawn again, which
    leads to the same place if the stream follows from its seed alone.

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
      warn(f'data: drawing {n:,} batches again, to go on with the next one')
    for i in range(n):
      if next(self.stream, None) is None:
        raise UserError(
          f'data: got the end of the stream after {i:,} batches, expected '
          f'the {n_drawn:,} that the run has drawn; give the same data'
        )


def count(loop) -> None:
  """Puts a `Batches` in the place of the stream of each of a loop's tasks.

  No batch passes whose targets the model has no logits for: XLA would take the
  nearest embedding for such a token, and the loss ignores it. In a language
  model the targets are the inputs, in a classifier only the targets are bounded
  by the outputs.

  A task that an earlier loop has drawn from keeps its place in the stream.

  Raises:
    UserError: If a task's first batch does not pass.
  """
  check = _check_of_targets(loop)
  names = [
    f'{name} {i + 1}' if len(tasks) > 1 else name
    for name, tasks in (
      ('training stream', loop.tasks),
      ('evaluation stream', loop.eval_tasks),
    )
    for i in range(len(tasks))
  ]
  tasks = (*loop.tasks, *loop.eval_tasks)
  for task, name in zip(tasks, names, strict=True):
    check(task.sample_batch)
    stream, n_drawn = task.labeled_data, 0
    if isinstance(stream, Batches):
      stream, n_drawn = stream.stream, stream.n_drawn
    task._labeled_data = Batches(stream, check, n_drawn, name)
  if loop.is_chief:
    _warn_of_too_many(loop.eval_tasks)


def _warn_of_too_many(eval_tasks):
  for task in eval_tasks:
    stream, n = task.labeled_data.stream, task.n_eval_batches
    if isinstance(stream, streams.Repeated) and stream.n_batches < n:
      warn(
        f'evaluation: got {n} batches (train.eval_steps), but the data have '
        f'{stream.n_batches}; each evaluation takes all of those, once'
      )


def _check_of_targets(loop):
  if loop._use_memory_efficient_trainer:
    return _no_check  # Its model is initialised in pieces, without a signature.
  model, signature = loop.model, loop._batch_signature
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
