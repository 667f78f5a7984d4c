"""The flag --minutes, whose default depends on the command."""

import math

from absl import flags

from trax_hourglass.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_float(
  'minutes', None, 'Start nothing more after this many minutes.'
)


def minutes(default: float | None) -> float | None:
  """Returns the flag's value, or a default.

  Raises:
    UserError: If it is not positive.
  """
  if FLAGS.minutes is None:
    return default
  if not 0 < FLAGS.minutes < math.inf:
    raise UserError(f'--minutes: got {FLAGS.minutes:g}, expected more than 0')
  return FLAGS.minutes
