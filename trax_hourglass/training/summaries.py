"""Summaries for TensorBoard; if they cannot be written, training goes on."""

from collections.abc import Sequence
import contextlib
import itertools
import os
import socket
import time

from trax import jaxboard

from trax_hourglass.distribution import hosts
from trax_hourglass.errors import file_errors, reason, warn
from trax_hourglass.training import trax_internals

# By this version TensorBoard recognizes the format.
_VERSION = 'brain.Event:2'

# Numbers for files that this process opens within the same second.
_NUMBERS = itertools.count()


@contextlib.contextmanager
def opened(train_dirs: Sequence, eval_dirs: Sequence, first: int):
  """Yields two lists of writers, for the directories of tasks.

  A writer is `None` for no directory, and except on the first host. `first` is
  as for `SummaryWriter.start`.
  """
  with contextlib.ExitStack() as stack:

    def open_one(directory, name):
      if directory is None or not hosts.is_first():
        return None
      writer = SummaryWriter(os.path.join(directory, name))
      stack.callback(writer.close)
      writer.start(first)
      return writer

    yield (
      [open_one(directory, 'train') for directory in train_dirs],
      [open_one(directory, 'eval') for directory in eval_dirs],
    )


class SummaryWriter(jaxboard.SummaryWriter):
  """Writes summaries as Trax's writer does, but raises no errors of the disk.

  Trax's writes in a thread, which dies with a traceback if the disk is full.
  """

  def __init__(self, log_dir: str):
    """Takes the folder of the event files, made with the first one."""
    self._events = EventFile(log_dir)
    trax_internals.open_summaries(self, self._events)

  def start(self, step: int) -> None:
    """Makes new summaries replace those of this step and later ones.

    A killed run may have left summaries of steps that the resumed run repeats.
    """
    self._events.start = step

  def configuration(self, text: str) -> None:
    """Writes the bindings of a `config.gin`, without its header."""
    _, _, bindings = text.partition('\n\n')
    bindings = jaxboard.markdownify_operative_config_str(bindings)
    self.text('gin_config', bindings)


class EventFile:
  """A file of TensorFlow's events: records of `tf.compat.v1.Event`.

  If an event cannot be written, for example to a full disk, a warning says so,
  and the next event starts another file, so that earlier ones stay readable.

  Attributes:
    start: The step at which the first file begins, if any: TensorBoard drops
      earlier events of this step and later ones.
  """

  def __init__(self, log_dir: str):
    self.start = None
    self._log_dir = log_dir
    self._file = self._path = None
    self._has_content = False
    self._has_failed = False

  def add_event(self, event) -> None:
    with self._training_goes_on():
      if self._file is None:
        self._open(event.wall_time)
      self._write(event)

  def flush(self) -> None:
    """Hands all added events to the operating system."""
    if self._file is not None:
      with self._training_goes_on():
        self._file.flush()
        self._has_content, self._has_failed = True, False
        self.start = None

  def close(self) -> None:
    self.flush()
    if self._file is not None:
      with self._training_goes_on():
        self._file.close()
      self._file = None

  def _open(self, wall_time):
    import tensorflow as tf

    os.makedirs(self._log_dir, exist_ok=True)
    # TensorBoard reads files in the order of their names.
    seconds, number = f'{int(time.time()):010}', f'{next(_NUMBERS):06}'
    names = seconds, socket.gethostname(), os.getpid(), number
    name = '.'.join(map(str, ('events.out.tfevents', *names)))
    self._path, self._has_content = os.path.join(self._log_dir, name), False
    self._file = tf.io.TFRecordWriter(self._path)
    self._write(tf.compat.v1.Event(wall_time=wall_time, file_version=_VERSION))
    if self.start is not None:
      log = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
      self._write(
        tf.compat.v1.Event(
          wall_time=wall_time, step=self.start, session_log=log
        )
      )

  def _write(self, event):
    self._file.write(event.SerializeToString())

  @contextlib.contextmanager
  def _training_goes_on(self):
    """Gives up the file, with a warning, if the body cannot write to it."""
    try:
      yield
    except file_errors() as error:
      self._file = None
      if self._path and not self._has_content:
        with contextlib.suppress(OSError):
          os.remove(self._path)
      if not self._has_failed:
        warn(
          f'summaries cannot be written to {self._log_dir} ({reason(error)}); '
          'training goes on without them'
        )
      self._has_failed = True
