"""Reproduces the paper in small: python -m trax_hourglass.reproduce.

Trains the variants that a study compares, each with several seeds, and writes
the results to --output_dir: JSON and pictures. It skips what is there already
and resumes what was interrupted, so the same command may be started twice to
share the work. At the end it writes a page of all results, REPRODUCTION.md, to
--output_dir; without that flag the page is docs/reproduction.md, and the
verdicts alone are in REPRODUCTION.md.
"""

from collections.abc import Sequence
import os
import sys

from absl import flags

from trax_hourglass import starting
from trax_hourglass.configuration import command_line, exits, minutes_flag
from trax_hourglass.errors import UserError
from trax_hourglass.lab.reproduction.long_studies import GPU
from trax_hourglass.lab.reproduction.studies import STUDIES

runner = starting.lazy('trax_hourglass.lab.reproduction.runner')

FLAGS = flags.FLAGS
for _name in ('output_dir', 'config'):
  flags.declare_key_flag(_name)
flags.adopt_module_key_flags(minutes_flag)
flags.DEFINE_list(
  'study',
  [name for name in STUDIES if name != GPU],
  f'Studies to do: some of {", ".join(STUDIES)}. By default all but {GPU}.',
)
flags.DEFINE_bool(
  'costs', True, 'Time steps, which needs a machine that does nothing else.'
)
flags.DEFINE_bool('page', False, 'Write the pages, and run no study.')

_USED_FLAGS = ('config', 'log_level', 'output_dir')
_RESULTS, _VERDICTS = 'results', 'REPRODUCTION.md'
_EVIDENCE = os.path.join('docs', 'reproduction.md')


@exits.exit_codes()
def main(argv: Sequence[str]) -> None:
  command_line.start(argv, check=_check_flags)
  directory, pages = _RESULTS, [_EVIDENCE, _VERDICTS]
  if FLAGS['output_dir'].present:
    directory = FLAGS.output_dir
    pages = [os.path.join(directory, _VERDICTS)]
  reproduction = runner.Reproduction(directory, FLAGS.config or ())
  if not FLAGS.page:
    reproduction.reproduce(
      FLAGS.study, minutes=FLAGS.minutes, time_steps=FLAGS.costs
    )
  reproduction.write_page(*pages)
  print(f'output    {", ".join(pages)}')


def _check_flags():
  command_line.check_used(*_USED_FLAGS)
  for name in FLAGS.study or ['']:
    if name not in STUDIES:
      raise UserError(
        f'--study: got {name!r}, expected some of {", ".join(STUDIES)}'
      )
  for name in ('study', 'minutes', 'costs'):
    if FLAGS.page and FLAGS[name].present:
      raise UserError(
        f'--{name} has no effect with --page; leave one of them out'
      )
  minutes_flag.minutes(None)
  if FLAGS.config and not FLAGS['output_dir'].present:
    raise UserError(
      f'--config: got {FLAGS.config[0]!r} for results in {_RESULTS}, which are '
      'those of the gin files; give another --output_dir'
    )


if __name__ == '__main__':
  main(sys.argv)
