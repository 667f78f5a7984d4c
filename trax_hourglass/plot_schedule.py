"""Draws a run's learning rate: python -m trax_hourglass.plot_schedule.

Takes --config_file and --config as `trax_hourglass.train` does, and writes a
picture of `train.lr_schedule_fn` over `train.steps` to --output, by default
schedule.png, in the format of its suffix, such as .svg or .pdf. Prints the rate
at its peak and at the end, and the last steps if their rate is zero.
"""

from collections.abc import Sequence
import copy
import os
import sys

from absl import flags

from trax_hourglass import outputs, starting
from trax_hourglass.configuration import command_line, exits, output_flag
from trax_hourglass.errors import UserError, check_positive

bindings = starting.lazy('trax_hourglass.configuration.bindings')
explain = starting.lazy('trax_hourglass.configuration.explain')
reading = starting.lazy('trax_hourglass.configuration.reading')
schedules = starting.lazy('trax_hourglass.training.schedules')
values = starting.lazy('trax_hourglass.configuration.values')

for _name in command_line.CONFIGURATION_FLAGS:
  flags.declare_key_flag(_name)
flags.adopt_module_key_flags(output_flag)

# A picture shows no more.
_MAX_POINTS = 1000


@exits.exit_codes()
def main(argv: Sequence[str]) -> None:
  command_line.start(argv)
  command_line.check_used(*command_line.CONFIGURATION_FLAGS, 'log_level')
  overrides = reading.configure(**command_line.configuration())
  with explain.config_errors():
    name = bindings.function('train.lr_schedule_fn').__name__
    schedule, steps = bindings.schedule(), _steps()
    curve = learning_rates(schedule, steps)
    zeros = schedules.zero_rates(schedule, 1, steps)
  overrides.warn()
  output = output_flag.output('schedule.png')
  _plot(curve, zeros, name, output)
  peak, last = max(curve, key=lambda point: point[1]), curve[-1]
  for name, (step, rate) in {'peak': peak, 'end': last}.items():
    print(f'{name:10}{rate:.3e} at step {step:,}')
  if zeros:
    print(f'{"zero":10}at steps {zeros[0]:,} to {zeros[-1]:,}')
  print(f'{"output":10}{output}')


def learning_rates(schedule, steps: int) -> list[tuple[int, float]]:
  """Returns (step, rate) pairs of the first step, the last, and between.

  In between lie all steps, or every 10th, every 100th, ....

  Args:
    schedule: Function from a step to a rate, as for `TrainTask` of Trax.
    steps: The last step.

  Raises:
    UserError: If `steps` is not positive.
  """
  check_positive(**{'train.steps': steps})
  stride = 1
  while steps > stride * _MAX_POINTS:
    stride *= 10
  from trax import fastmath

  with fastmath.use_backend(fastmath.Backend.NUMPY):  # As in Trax's loop.
    return [
      (step, float(schedule(step)))
      for step in sorted({1, *range(stride, steps, stride), steps})
    ]


def _steps():
  steps = copy.deepcopy(values.bound('train.steps'))
  if steps is None:
    raise UserError(
      'train.steps is not bound; give a configuration that binds it, for '
      'example --config_file=quickstart.gin'
    )
  return steps


def _plot(curve, zeros, title, path):
  from matplotlib import figure, ticker

  picture = figure.Figure(figsize=(6, 4), layout='constrained')
  axes = picture.add_subplot(
    xlabel='training steps', ylabel='learning rate', title=title
  )
  axes.plot(*zip(*curve, strict=True))
  if zeros:
    axes.axvspan(zeros[0], zeros[-1], color='C3', alpha=0.3, label='rate zero')
    axes.legend()
  axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=''))
  axes.ticklabel_format(axis='y', scilimits=(0, 0))
  axes.set_xlim(left=0)
  axes.set_ylim(bottom=0)
  axes.grid(alpha=0.3)
  suffix = os.path.splitext(path)[1].lower().removeprefix('.') or 'png'
  known = picture.canvas.get_supported_filetypes()
  if suffix not in known:
    raise UserError(
      f'--output: got {path!r}, expected a name that ends in one of '
      f'{", ".join(f".{name}" for name in sorted(known))}'
    )
  with outputs.replacement(path) as file:
    picture.savefig(file, format=suffix, dpi=150)


if __name__ == '__main__':
  main(sys.argv)
