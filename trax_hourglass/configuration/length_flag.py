"""The flag --length, whose default depends on the command."""

from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_integer('length', None, 'Tokens to generate, or in a sequence.')


def length(default: int) -> int:
  """Returns the flag's value, or a default."""
  return default if FLAGS.length is None else FLAGS.length
