"""The directory that a command writes to."""

from collections.abc import Iterator
import contextlib
import os

import tensorflow as tf

from trax_hourglass.errors import UserError, reason, warn
from trax_hourglass.training.checkpoints import locking


@contextlib.contextmanager
def writable(path: str) -> Iterator[None]:
  """Makes a directory, and takes it away again if the body fails.

  A directory that cannot be written is thus reported before hours of work, and
  a failed command leaves nothing behind. If another run has started there in
  the meantime, the directory stays.

  Raises:
    UserError: If it cannot be made or written to.
  """
  made, parent = None, path
  while parent and not tf.io.gfile.exists(parent):
    made, parent = parent, os.path.dirname(parent)
  try:
    try:
      tf.io.gfile.makedirs(path)
      probe = os.path.join(path, '.writable')
      with tf.io.gfile.GFile(probe, 'w') as f:
        f.write('')
      tf.io.gfile.remove(probe)
    except (OSError, tf.errors.OpError) as error:
      raise UserError(
        f'--output_dir: cannot write to {path} ({error}); give another one'
      ) from error
    yield
  except BaseException:
    if made is not None and tf.io.gfile.exists(made):
      _remove(made, path)
    raise


@contextlib.contextmanager
def expendable(path: str) -> Iterator[str]:
  """Yields a temporary path; the file written there replaces `path` at the end.

  If it cannot be written, for example to a full disk, a warning says so, the
  file that was at `path` stays, and the run goes on.
  """
  part = f'{path}.part'
  try:
    yield part
    os.replace(part, path)
  except (OSError, tf.errors.OpError) as error:
    with contextlib.suppress(OSError):
      os.remove(part)
    warn(f'{path} cannot be written ({reason(error)})')


def _remove(made, path):
  """Removes the directory `made`, unless another run is at work in `path`."""
  with contextlib.ExitStack() as stack:
    if os.path.isdir(path):
      try:
        stack.enter_context(locking.locked(path))
      except UserError:
        return
    tf.io.gfile.rmtree(made)
