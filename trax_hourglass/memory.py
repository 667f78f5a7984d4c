"""States how much memory training takes: python -m trax_hourglass.memory.

Takes the gin files of trax_hourglass.train, and compiles their update for as
many simulated devices of a CPU as --devices says; nothing is allocated, and
nothing runs. For images, --tokens says how many tokens one has.

  python -m trax_hourglass.memory --config_file=enwik8.gin --devices=8
"""

from collections.abc import Sequence
import sys

from absl import flags

from trax_hourglass import starting
from trax_hourglass.configuration import command_line, exits
from trax_hourglass.errors import UserError, check_positive

bindings = starting.lazy('trax_hourglass.configuration.bindings')
explain = starting.lazy('trax_hourglass.configuration.explain')
reading = starting.lazy('trax_hourglass.configuration.reading')
trax_inputs = starting.lazy('trax_hourglass.configuration.trax_inputs')
values = starting.lazy('trax_hourglass.configuration.values')
device_memory = starting.lazy('trax_hourglass.lab.benchmarks.device_memory')

FLAGS = flags.FLAGS
for _name in command_line.CONFIGURATION_FLAGS:
  flags.declare_key_flag(_name)
flags.DEFINE_integer('devices', 1, 'Number of devices, on all hosts.')
flags.DEFINE_integer('tokens', None, 'Tokens in a sequence, if it is not text.')


@exits.exit_codes()
def main(argv: Sequence[str]) -> None:
  command_line.start(argv)
  command_line.check_used(*command_line.CONFIGURATION_FLAGS, 'log_level')
  check_positive(**{'--devices': FLAGS.devices})
  device_memory.simulate(FLAGS.devices)
  overrides = reading.configure(**command_line.configuration())
  with explain.config_errors():
    sizes = _sizes()
    batch_size, length = sizes.batch_size, _length(sizes)
    check_positive(**{f'{trax_inputs.selector()}.batch_size': batch_size})
    memory = device_memory.measure(
      bindings.model('train'),
      bindings.function('train.optimizer')(),
      batch_size,
      length,
      values.value('trax_hourglass.Loop.device_batch_size'),
    )
  overrides.warn()
  print(
    f'{batch_size} sequences of {length:,} tokens, '
    f'{batch_size // FLAGS.devices} on each device:'
  )
  print(device_memory.table(memory, FLAGS.devices))


def _sizes():
  if (
    values.bound('train.inputs') is None
    and values.bound('trax.data.batcher.data_streams') is None
  ):
    raise UserError(
      'train.inputs is not bound; bind it, for example to '
      '@trax_hourglass.text_inputs'
    )
  return trax_inputs.sizes()


def _length(sizes) -> int:
  if FLAGS.tokens is not None:
    check_positive(**{'--tokens': FLAGS.tokens})
    return FLAGS.tokens
  if sizes.length is None:
    raise UserError(
      '--tokens: not given, expected those of an image, such as --tokens=3072'
    )
  return sizes.length


if __name__ == '__main__':
  main(sys.argv)
