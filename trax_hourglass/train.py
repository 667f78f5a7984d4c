"""Trains a model: python -m trax_hourglass.train --config_file=quickstart.gin.

Takes the flags of trax.trainer and runs Trax's `train`, which gin files
configure, on our loop. The `config.gin` that it writes to --output_dir is all
that repeating the run takes. The same command again resumes; a run that resumes
with another configuration leaves that beside it, in `config_STEP.gin`.
--pretrained=NAME fine-tunes a trained model.
"""

from collections.abc import Sequence
import datetime
import shlex
import sys

from absl import flags

from trax_hourglass import starting
from trax_hourglass.configuration import command_line, exits

commands = starting.lazy('trax_hourglass.commands')
hosts = starting.lazy('trax_hourglass.distribution.hosts')
learning_curves = starting.lazy('trax_hourglass.training.learning_curves')

FLAGS = flags.FLAGS
for _name in (*command_line.MODEL_FLAGS, *command_line.HOST_FLAGS):
  flags.declare_key_flag(_name)


@exits.exit_codes()
def main(argv: Sequence[str]) -> None:
  command_line.start(
    argv,
    on_hosts=True,
    check=lambda: command_line.check_pretrained('init_checkpoint'),
  )
  run = commands.train(
    FLAGS.output_dir,
    init_checkpoint=FLAGS.init_checkpoint,
    pretrained=FLAGS.pretrained,
    command=f'python -m trax_hourglass.train {shlex.join(argv[1:])}',
    **command_line.configuration(),
  )
  if hosts.is_first():
    print(_summary(run))
  hosts.wait_for_all()


def _summary(run) -> str:
  """Returns the lines at the end of a run."""
  import jax

  loop, n_steps, seconds = run.loop, run.n_steps, run.seconds
  n_weights = sum(w.size for w in jax.tree.leaves(loop.model.weights))
  trained = f'{n_weights:,} weights, {loop.step:,} steps'
  if n_steps:
    duration = datetime.timedelta(seconds=round(seconds))
    trained += (
      f', the last {n_steps:,} in {duration} ({n_steps / seconds:.3g} steps/s)'
    )
  lines = {'trained': trained}
  measure = loop.measure
  for name, curve in learning_curves.curves(loop.history, measure).items():
    step, bits = curve[-1]
    figure = f'{bits:.4f} {measure.unit} at step {step:,}'
    lines[name] = figure + measure.remarks
  lines['score'] = run.score or (
    'none: bind trax_hourglass.evaluate.text or .evaluate_images.images'
  )
  lines['output'] = (
    f'{loop.output_dir}: checkpoints, model.pkl.gz, config.gin, '
    'learning_curve.png, TensorBoard summaries'
  )
  return '\n'.join(f'{name:12}{text}' for name, text in lines.items())


if __name__ == '__main__':
  main(sys.argv)
