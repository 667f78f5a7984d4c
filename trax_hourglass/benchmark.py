"""Measures models side by side: python -m trax_hourglass.benchmark.

Our Hourglass, the one of `trax.models`, our Transformer-XL baseline and, where
PyTorch is installed, the package hourglass-transformer-pytorch take turns, so
that a busy machine is as unfair to one as to another. `--what` chooses among

  step      gradient and Adam, one jitted function, weights and slots donated;
  gradient  the gradient alone;
  forward   the loss in mode 'eval'.

Prints a table for each, and one of the CPU time that the first step takes with
nothing compiled before, and writes benchmark.json and benchmark.png to
--output_dir, runs/benchmark by default. `--table1` measures steps of the
paper's Table 1 instead, models and lengths from their gin files, and writes
table1.json and table1.png; `--config` overrides bindings of all of them.
`--generation` measures generation with caches, the longest of --length tokens,
8192 by default, and writes generation.json and generation.png. `--accelerator`
compares cuDNN's attention with ours at --length, 16384 by default, a half and
an eighth of it, beside other models, and writes accelerator.json and
accelerator.png.
"""

from collections.abc import Sequence
import json
import os
import sys

from absl import flags

from trax_hourglass import outputs, starting
from trax_hourglass.configuration import (
  command_line,
  exits,
  length_flag,
  minutes_flag,
)
from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.lab.benchmarks.settings import MODELS, WORKS, Settings

directories = starting.lazy('trax_hourglass.configuration.directories')
accelerator = starting.lazy('trax_hourglass.lab.benchmarks.accelerator')
generation = starting.lazy('trax_hourglass.lab.benchmarks.generation')
side_by_side = starting.lazy('trax_hourglass.lab.benchmarks.side_by_side')
table1 = starting.lazy('trax_hourglass.lab.benchmarks.table1')
layers = starting.lazy('trax_hourglass.layers')

FLAGS = flags.FLAGS
for _name in ('output_dir', 'config'):
  flags.declare_key_flag(_name)
flags.adopt_module_key_flags(length_flag)
flags.adopt_module_key_flags(minutes_flag)
_DEFAULT = Settings(length=2048)
flags.DEFINE_string(
  'hierarchy', _DEFAULT.hierarchy, 'The levels of both Hourglass models.'
)
flags.DEFINE_string(
  'baseline', _DEFAULT.baseline, 'The levels of the Transformer-XL.'
)
flags.DEFINE_integer(
  'batch_size',
  _DEFAULT.batch_size,
  'Sequences in a batch; with --accelerator, in one of the greatest length.',
)
flags.DEFINE_integer(
  'd_model', _DEFAULT.d_model, 'Width of the activations; d_ff is 4 x.'
)
flags.DEFINE_integer('n_heads', _DEFAULT.n_heads, 'Number of attention heads.')
flags.DEFINE_list('dropout', ['0', '0.1'], 'Rates, each measured by itself.')
flags.DEFINE_list('what', ['step'], f'Some of {", ".join(WORKS)}.')
flags.DEFINE_list('models', list(MODELS), 'The models that take turns.')
flags.DEFINE_bool(
  'rematerialize', False, 'Let our model trade time for memory.'
)
flags.DEFINE_integer('repeats', 5, 'How often each is timed.')
flags.DEFINE_bool(
  'quick', False, 'A model and a sequence small enough for two minutes.'
)
flags.DEFINE_bool('table1', False, "Measure the rows of the paper's Table 1.")
flags.DEFINE_bool('generation', False, 'Measure generation with caches.')
flags.DEFINE_bool(
  'accelerator', False, "Measure on a GPU, cuDNN's attention beside ours."
)

_MINUTES = 6
_LONGEST = {'generation': 8192, 'accelerator': 16384}
_QUICK = {
  'length': 512,
  'd_model': 128,
  'hierarchy': '1@1 2@4 1@1',
  'baseline': '4@1',
}
# The flags of all commands that have an effect here.
_USED_FLAGS = ('log_level', 'output_dir')
_UNUSED = {
  'accelerator': (
    'dropout',
    'what',
    'models',
    'rematerialize',
    'generation',
    'table1',
  ),
  'generation': ('batch_size', 'dropout', 'what', 'models', 'rematerialize'),
  # The gin files of Table 1 have these.
  'table1': (
    *_QUICK,
    'n_heads',
    'dropout',
    'what',
    'models',
    'rematerialize',
    'quick',
    'generation',
  ),
}


@exits.exit_codes()
def main(argv: Sequence[str]) -> None:
  command_line.start(argv, check=_check_unused)
  if FLAGS.accelerator:
    accelerator.prepare()
  settings = _settings()
  settings.check()
  output_dir = os.path.expanduser(FLAGS.output_dir or 'runs/benchmark')
  with directories.writable(output_dir):
    name, subject, results = _measured(settings)
    path = os.path.join(output_dir, name)
    with outputs.replacement(f'{path}.json') as file:
      file.write(json.dumps(results, indent=1).encode())
    print(f'\noutput    {path}.json, {path}.png')
    subject.plot(results, f'{path}.png')


def _measured(settings):
  """Returns the subject's name, its module and what was measured."""
  if FLAGS.table1:
    return (
      'table1',
      table1,
      table1.benchmark(
        batch_size=FLAGS.batch_size, repeats=FLAGS.repeats, config=FLAGS.config
      ),
    )
  if FLAGS.accelerator:
    results = accelerator.benchmark(
      settings, repeats=FLAGS.repeats, minutes=minutes_flag.minutes(_MINUTES)
    )
    return 'accelerator', accelerator, results
  if FLAGS.generation:
    results = generation.benchmark(settings, repeats=FLAGS.repeats)
    return 'generation', generation, results
  return (
    'benchmark',
    side_by_side,
    side_by_side.benchmark(
      settings,
      what=FLAGS.what,
      dropout=list(map(float, FLAGS.dropout)),
      models=FLAGS.models,
      rematerialize=FLAGS.rematerialize,
      repeats=FLAGS.repeats,
    ),
  )


def _check_unused():
  command_line.check_used(*_USED_FLAGS, *(['config'] if FLAGS.table1 else ()))
  for subject, advice in {
    'table1': '--config changes what its gin files say',
    'generation': 'leave it out',
    'accelerator': 'leave it out',
  }.items():
    for name in _UNUSED[subject] if FLAGS[subject].value else ():
      if FLAGS[name].present:
        raise UserError(f'--{name} has no effect with --{subject}; {advice}')
  if FLAGS['minutes'].present and not FLAGS.accelerator:
    raise UserError('--minutes has no effect without --accelerator')


def _settings() -> Settings:
  """Returns the sizes that the flags give.

  Raises:
    UserError: If they make no sense, before anything is measured.
  """
  longest = next(
    (length for subject, length in _LONGEST.items() if FLAGS[subject].value),
    _DEFAULT.length,
  )
  sizes = {name: FLAGS[name].value for name in Settings._fields}
  sizes['length'] = length_flag.length(longest)
  if FLAGS.quick:
    sizes |= {k: v for k, v in _QUICK.items() if not FLAGS[k].present}
  numbers = ('length', 'batch_size', 'n_heads', 'd_model')
  check_positive(**{f'--{name}': sizes[name] for name in numbers})
  check_positive(**{'--repeats': FLAGS.repeats})
  minutes_flag.minutes(_MINUTES)
  _check_lists()
  settings = Settings(**sizes)
  if FLAGS.generation or FLAGS.accelerator:
    generation.Places.within(settings.length, FLAGS.repeats)
  if FLAGS.table1:
    table1.configure(table1.ROWS[0].hierarchy, FLAGS.config).warn()
  return settings


def _check_lists():
  for flag, known in (('what', WORKS), ('models', MODELS)):
    for name in FLAGS[flag].value or ['']:
      if name not in known:
        names = ', '.join(known)
        raise UserError(f'--{flag}: got {name!r}, expected some of {names}')
  for text in FLAGS.dropout or ['']:
    try:
      layers.checks.check_dropout(float(text))
    except ValueError:
      raise UserError(
        f'--dropout: got {text!r}, expected rates, at least 0 and below 1, as '
        '0,0.1'
      ) from None


if __name__ == '__main__':
  main(sys.argv)
