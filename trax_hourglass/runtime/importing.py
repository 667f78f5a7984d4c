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
# XLA aborts the process at a flag that it does not know.
_KNOW_LIBRARY_FUSIONS = ('0.10.2', '0.12.0')


def no_library_fusions():
  """Lets XLA compile its own fusions on a CPU, not hand them to a library.

  Cause: today's XLA gives small elementwise fusions and reductions to the
  library YNNPACK, a call each. A training step of `quickstart.gin` takes 1.4
  times as long that way on two cores; one of a large model takes the same
  either way. XLA reads its flags once, before it first compiles.
  """
  flags = os.environ.get('XLA_FLAGS', '')
  known = metadata.version('jaxlib').startswith(_KNOW_LIBRARY_FUSIONS)
  if known and _LIBRARY_FUSIONS not in flags:
    os.environ['XLA_FLAGS'] = f'{flags} {_LIBRARY_FUSIONS}='.strip()


# Lines of TensorFlow that a log level does not reach: those of severity info
# and warning, and the error that says that there is no GPU.
_TENSORFLOW_NOTICE = re.compile(
  rb'WARNING: All log messages before absl::InitializeLog'
  rb'|[IW]\d{4} '
  rb'|E\d{4} .* failed call to cuInit'
)


@contextlib.contextmanager
def no_tensorflow_notices():
  """Keeps TensorFlow's notices off standard error while the body runs.

  Cause: TensorFlow 2.21 logs before it has initialised its log, which
  `TF_CPP_MIN_LOG_LEVEL` does not reach. So standard error is held back at the
  level of the file descriptor, and everything but the notices follows when the
  body is done. A user who sets `TF_CPP_MIN_LOG_LEVEL=0` sees all of it at once,
  also what TensorFlow says when it aborts the process.
  """
  level = os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  try:
    stderr = os.dup(2) if level != '0' else None
  except OSError:  # No standard error: nothing to keep clean.
    stderr = None
  if stderr is None:
    yield
    return
  with tempfile.TemporaryFile() as held:
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
  """Lets gym be imported in the body without its notice.

  Cause: `trax.rl` imports gym, which prints that it is unmaintained. The text
  comes from a dictionary of the package `gym_notices`, empty meanwhile.
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
  imported, to note file and line of its caller. They look up module and source
  of every frame, which is 10 of the 13 seconds that the import takes.
  """

  def getframeinfo(frame, context=1):
    del context  # No source lines, as where inspect can't find the source.
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


def leave_gpu_to_jax():
  """Hides every GPU from TensorFlow, which would reserve nearly all memory.

  Not part of `apply`: a command decides this for its process, an import does
  not. Call it before TensorFlow's first operation; later it has no effect on
  a GPU that TensorFlow already uses, and raises RuntimeError.
  """
  with no_tensorflow_notices():
    tf = importlib.import_module('tensorflow')
    tf.config.set_visible_devices([], 'GPU')
