"""The flag --output, whose default depends on the command."""

from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_string('output', None, 'The file to write.')


def output(default: str) -> str:
  """Returns the flag's value, or a default."""
  return default if FLAGS.output is None else FLAGS.output
