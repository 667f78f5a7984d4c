"""The directory that a command writes to."""

from collections.abc import Iterator
import contextlib
import os

import tensorflow as tf

from trax_hourglass.errors import UserError


@contextlib.contextmanager
def writable(path: str) -> Iterator[None]:
  """Makes a directory, and takes it away again if the body fails.

  So a mistake is told before hours of work, and leaves nothing behind.

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
      tf.io.gfile.rmtree(made)
    raise
