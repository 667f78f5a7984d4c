"""Signals at which a run finishes its step, saves and stops.

They are those of Ctrl-C, SIGTERM, and SIGHUP unless it is ignored, as by nohup.
Processes that a run forks, say to make batches, handle signals as if the run
were not there: they have nothing to save, and Ctrl-C is sent to them, too.
"""

from collections.abc import Callable, Mapping
import contextlib
import math
import os
import signal
import sys
import threading
import time

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SECONDS_TO_CLEAN_UP = 5
_END = 0  # No signal has that number.

# Functions that undo how signals are handled, for a process that is forked.
_restorers = []


def _restore_after_fork():
  while _restorers:
    _restorers.pop()()


os.register_at_fork(after_in_child=_restore_after_fork)


class Interrupted(KeyboardInterrupt):
  """A command was asked to stop and has stopped, a run after saving.

  Attributes:
    exit_code: The command's exit code: 128 plus the signal's number.
  """

  def __init__(self, message: str, signum: int):
    super().__init__(message)
    self.exit_code = 128 + signum


class Stopped(Exception):
  """An evaluation was left because its run is to stop."""


class Watch:
  """A request to stop after the current step.

  Several hosts stop at the same step: the one at which all know of the request.

  Attributes:
    own: The number of the first signal sent to this host, 0 for none.
  """

  def __init__(self, *, is_shared: bool = False):
    """Initialises it without a request; `is_shared` is for several hosts."""
    self._is_shared = is_shared
    self._common = 0
    self._is_evaluating = False
    self.own = 0

  @property
  def signum(self) -> int:
    """The number of the signal to stop at, 0 for none."""
    return self._common if self._is_shared else self.own

  def stop(self, signum: int) -> None:
    """Requests a stop, unless a signal came before."""
    self.own = self.own or signum

  def hear(self, signum: int) -> None:
    """Notes the number of a signal sent to any of the hosts, 0 for none."""
    self._common = self._common or signum

  def start(self) -> None:
    """Forgets earlier requests."""
    self.own = self._common = 0

  @contextlib.contextmanager
  def evaluation(self):
    """Lets `check` raise in the body: the evaluation of a run."""
    self._is_evaluating = True
    try:
      yield
    finally:
      self._is_evaluating = False

  def check(self) -> None:
    """Raises `Stopped` if the evaluation of a run is to be left."""
    if self._is_evaluating and self.signum:
      raise Stopped

  def interrupted(self, step: int, *, is_saved: bool) -> Interrupted:
    """Returns the exception of a run that has stopped after a step."""
    why = ' (nobody reads its output)' if self.signum == signal.SIGPIPE else ''
    saved = ', all saved; the same command goes on from there'
    return Interrupted(
      f'stopped by {name(self.signum)}{why} at step {step}'
      f'{saved if is_saved else ""}',
      self.signum,
    )


@contextlib.contextmanager
def raising():
  """Makes signals raise `Interrupted` in the body, so that it cleans up.

  Python itself raises at Ctrl-C. Further signals within seconds do not disturb
  the clean-up.
  """
  if threading.current_thread() is not threading.main_thread():
    yield
    return

  last = -math.inf

  def handle(signum, frame):
    nonlocal last
    is_repeated = time.monotonic() < last + _SECONDS_TO_CLEAN_UP
    last = time.monotonic()
    if not is_repeated:
      raise Interrupted(f'interrupted by {name(signum)}', signum)

  def raise_again(unraisable):
    """Sends a signal again that came in a destructor or a callback of gc.

    Python ignores exceptions there.
    """
    nonlocal last
    error = unraisable.exc_value
    if not isinstance(error, KeyboardInterrupt):
      hook(unraisable)
      return
    last = -math.inf
    signum = getattr(error, 'exit_code', 128 + signal.SIGINT) - 128
    threading.Timer(0.05, os.kill, (os.getpid(), signum)).start()

  signums = [signum for signum in _handled() if signum != signal.SIGINT]
  with _handling(dict.fromkeys(signums, handle)):
    hook, sys.unraisablehook = sys.unraisablehook, raise_again
    try:
      yield
    finally:
      sys.unraisablehook = hook


def name(signum: int) -> str:
  return signal.Signals(signum).name


def _handled():
  """Returns the signals to handle, without SIGHUP if nohup ignores it."""
  is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
  return [s for s in _SIGNALS if not (s == signal.SIGHUP and is_ignored)]


@contextlib.contextmanager
def _handling(handlers: Mapping[int, Callable], wakeup_fd: int | None = None):
  """Handles signals by functions in the body, except in forked processes.

  Python writes the numbers of those that come to `wakeup_fd`.
  """
  earlier = {
    signum: signal.signal(signum, handler)
    for signum, handler in handlers.items()
  }
  if wakeup_fd is not None:
    earlier_fd = signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)

  def restore():
    if wakeup_fd is not None:
      signal.set_wakeup_fd(earlier_fd)
    for signum, handler in earlier.items():
      signal.signal(signum, handler)

  _restorers.append(restore)
  try:
    yield
  finally:
    if restore in _restorers:  # In a forked process that is done already.
      _restorers.remove(restore)
      restore()


@contextlib.contextmanager
def watching(watch: Watch):
  """Notes signals in `watch`, in place of their usual effect.

  A second Ctrl-C ends the process immediately, even while Python waits for a
  device, so a thread listens. Outside the main thread, where Python handles no
  signals, nothing is watched.
  """
  if threading.current_thread() is not threading.main_thread():
    yield
    return

  def handle(signum, frame):
    watch.stop(signum)

  reader, writer = os.pipe()
  os.set_blocking(writer, False)
  listener = threading.Thread(target=_listen, args=(reader,), daemon=True)
  listener.start()
  try:
    with _handling(dict.fromkeys(_handled(), handle), writer):
      yield
  finally:
    os.write(writer, bytes([_END]))
    listener.join()
    os.close(reader)
    os.close(writer)


class Limit:
  """A time limit.

  Attributes:
    is_over: Whether the time is up.
  """

  is_over = False


@contextlib.contextmanager
def time_limit(minutes: float | None):
  """Yields a `Limit`, at whose end SIGTERM is sent: a run saves and stops.

  Outside `watching`, `Interrupted` is raised, though not before a compilation
  under way has ended: leave time for one.

  Args:
    minutes: The time from now; `None` for no limit.
  """
  limit = Limit()
  if minutes is None:
    yield limit
    return

  def end(signum, frame):
    limit.is_over = True
    signal.raise_signal(signal.SIGTERM)

  def stop(signum, frame):
    raise Interrupted(f'stopped by {name(signum)}', signum)

  with _handling({signal.SIGALRM: end, signal.SIGTERM: stop}):
    signal.setitimer(signal.ITIMER_REAL, 60 * minutes)
    try:
      yield limit
    finally:
      signal.setitimer(signal.ITIMER_REAL, 0)


def _listen(reader):
  """Reads the signals' numbers as they come, even while Python is busy."""
  n_received = 0
  while (signum := os.read(reader, 1)[0]) != _END:
    if signum not in _SIGNALS:
      continue
    n_received += 1
    if n_received == 1:
      _print(
        f'\n{name(signum)}: finishing the step and saving; Ctrl-C stops at once'
      )
    elif signum == signal.SIGINT:
      _print('\nstopped at once')
      os._exit(128 + signum)


def _print(line):
  with contextlib.suppress(OSError):  # The terminal may be gone.
    print(line, file=sys.stderr, flush=True)
