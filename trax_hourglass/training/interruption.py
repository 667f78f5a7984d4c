"""SIGTERM and Ctrl-C: asked to stop, a run finishes its step and saves."""

import contextlib
import os
import signal
import sys
import threading

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_END = 0  # No signal has that number.


class Interrupted(KeyboardInterrupt):
  """A run that stopped because it was asked to, all of it saved.

  Attributes:
    exit_code: What a command ends with: 128 and the signal's number.
  """

  def __init__(self, message: str, signum: int):
    super().__init__(message)
    self.exit_code = 128 + signum


class Watch:
  """Whether a signal came.

  Attributes:
    signum: The first one's number; `None` before.
  """

  signum = None


@contextlib.contextmanager
def watching():
  """Gives a `Watch` in place of what signals do otherwise.

  A second Ctrl-C ends the process at once, also while Python waits for a
  device, so a thread listens. Outside the main thread, where Python handles no
  signals, nothing is watched.
  """
  watch = Watch()
  if threading.current_thread() is not threading.main_thread():
    yield watch
    return

  def handle(signum, frame):
    watch.signum = watch.signum or signum

  reader, writer = os.pipe()
  os.set_blocking(writer, False)
  listener = threading.Thread(target=_listen, args=(reader,), daemon=True)
  listener.start()
  handlers = {signum: signal.signal(signum, handle) for signum in _SIGNALS}
  earlier = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
  try:
    yield watch
  finally:
    signal.set_wakeup_fd(earlier)
    for signum, handler in handlers.items():
      signal.signal(signum, handler)
    os.write(writer, bytes([_END]))
    listener.join()
    os.close(reader)
    os.close(writer)


def _listen(reader):
  """Reads the signals' numbers as they come, whatever Python is at."""
  n_received = 0
  while (signum := os.read(reader, 1)[0]) != _END:
    if signum not in _SIGNALS:
      continue
    n_received += 1
    if n_received == 1:
      name = signal.Signals(signum).name
      _print(f'\n{name}: finishing the step and saving; Ctrl-C stops at once')
    elif signum == signal.SIGINT:
      _print('\nstopped at once')
      os._exit(128 + signum)


def _print(line):
  print(line, file=sys.stderr, flush=True)
