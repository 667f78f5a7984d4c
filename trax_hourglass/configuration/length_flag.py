"""The flag --length, which several commands have, each with its default."""

from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_integer('length', None, 'How many tokens.')


def length(default: int) -> int:
  """Returns what the flag says."""
  return default if FLAGS.length is None else FLAGS.length
