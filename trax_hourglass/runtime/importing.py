"""Trax and TensorFlow imported quickly and quietly, and XLA's flags."""

import contextlib
import importlib
from importlib import metadata
import inspect
import os
import re
import sys
import tempfile

_LIBRARY_FUSIONS = '--xla_cpu_experimental_ynn_fusion_type'
# XLA aborts the process on a flag that it does not know.
_KNOW_LIBRARY_FUSIONS = ('0.10.2', '0.12.0')


def no_library_fusions():
  """Makes XLA compile its own fusions on a CPU.

  Cause: today's XLA hands small elementwise fusions and reductions to the
  library YNNPACK, one call each. A training step of a model of width 128 takes
  1.4 times as long that way on two cores; that of a large model is unaffected.
  XLA reads its flags once, before it first compiles.
  """
  flags = os.environ.get('XLA_FLAGS', '')
  known = metadata.version('jaxlib').startswith(_KNOW_LIBRARY_FUSIONS)
  if known and _LIBRARY_FUSIONS not in flags:
    os.environ['XLA_FLAGS'] = f'{flags} {_LIBRARY_FUSIONS}='.strip()


# TensorFlow's lines of severity info and warning, and its error about a missing
# GPU, which no log level suppresses.
_TENSORFLOW_NOTICE = re.compile(
  rb'WARNING: All log messages before absl::InitializeLog'
  rb'|[IW]\d{4} '
  rb'|E\d{4} .* failed call to cuInit'
)


@contextlib.contextmanager
def no_tensorflow_notices():
  """Keeps TensorFlow's notices off standard error while the body runs.

  Cause: TensorFlow 2.21 logs before it reads `TF_CPP_MIN_LOG_LEVEL`. So the
  file descriptor of standard error is redirected, and everything but the
  notices is written when the body ends. With `TF_CPP_MIN_LOG_LEVEL=0` all of it
  is written immediately, even if TensorFlow aborts the process.
  """
  level = os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  with contextlib.ExitStack() as stack:
    try:
      held = stack.enter_context(tempfile.TemporaryFile())
      stderr = os.dup(2) if level != '0' else None
    except OSError:  # No disk can be written, or standard error is closed.
      stderr = None
    if stderr is None:
      yield
      return
    os.dup2(held.fileno(), 2)
    try:
      yield
    finally:
      os.dup2(stderr, 2)
      os.close(stderr)
      held.seek(0)
      for line in held:
        if not _TENSORFLOW_NOTICE.match(line):
          os.write(2, line)


@contextlib.contextmanager
def no_gym_notice():
  """Silences gym's notice that it is unmaintained while the body runs.

  Cause: `trax.rl` imports gym. The text comes from a dictionary of the package
  `gym_notices`, which is emptied meanwhile.
  """
  try:
    notices = importlib.import_module('gym_notices.notices').notices
  except ImportError:
    notices = {}
  kept = dict(notices)
  notices.clear()
  try:
    yield
  finally:
    notices.update(kept)


@contextlib.contextmanager
def cheap_stack():
  """Makes `inspect.stack` and `inspect.getframeinfo` cheap in the body.

  Cause: the decorator `assert_shape` calls both 65 times while Trax is
  imported. They look up module and source of every frame, which takes 10 of the
  13 seconds of the import.
  """

  def getframeinfo(frame, context=1):
    del context  # No source lines, as for code without source.
    code = frame.f_code
    return inspect.Traceback(
      code.co_filename, frame.f_lineno, code.co_name, None, None
    )

  def stack(context=1):
    frames, frame = [], sys._getframe(1)
    while frame is not None:
      frames.append(inspect.FrameInfo(frame, *getframeinfo(frame, context)))
      frame = frame.f_back
    return frames

  originals = inspect.stack, inspect.getframeinfo
  inspect.stack, inspect.getframeinfo = stack, getframeinfo
  try:
    yield
  finally:
    inspect.stack, inspect.getframeinfo = originals
