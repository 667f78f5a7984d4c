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
    stream: The iterator that they come from.
    n_drawn: How many were drawn, over all runs in this output directory. The
      very first, from which the loop takes the shape, is not counted.
    n_done: How many of those were used in completed steps or evaluations. This
      count is saved in checkpoints: a resumed run draws the rest again.
  """

  def __init__(
    self, stream: Iterator, check, n_drawn: int = 0, name: str = 'stream'
  ):
    """Starts counting at `n_drawn`; `check` raises at a bad batch."""
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
    """Skips to the batch after the first `n_drawn`.

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

  A task that an earlier loop has drawn from keeps its place in its stream.

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
        f'evaluation: got {n} batches (train.eval_steps), but the data has '
        f'{stream.n_batches}; each evaluation uses all of them once'
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
