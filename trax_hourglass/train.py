"""Trains a model: python -m trax_hourglass.train --config_file=quickstart.gin.

Takes the flags of trax.trainer and runs Trax's `train`, which gin files
configure, on our loop. Needs no more than the `config.gin` that it writes to
--output_dir to repeat a run. The same command again resumes; a run that went on
with another configuration leaves that beside it, in `config_STEP.gin`.
"""

from collections.abc import Sequence
import contextlib
import copy
import dataclasses
import datetime
import importlib.metadata
import os
import platform
import re
import shlex
import sys
import time

from absl import flags
import gin
import jax
import numpy as np
import tensorflow as tf
from trax import shapes, trainer, trainer_flags

from trax_hourglass import evaluation
from trax_hourglass.configuration import (
  bindings,
  command_line,
  directories,
  exits,
  explain,
  operative,
  reading,
  trax_bindings,
  values,
)
from trax_hourglass.data import trax_sets
from trax_hourglass.distribution import hosts
from trax_hourglass.errors import UserError
from trax_hourglass.training import building, learning_curves
from trax_hourglass.training.checkpoints import (
  configs,
  find,
  folders,
  load,
  locking,
)
from trax_hourglass.training.loop import Loop

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(trainer_flags)

_PACKAGES = (
  'trax-hourglass',
  'trax',
  'jax',
  'jaxlib',
  'numpy',
  'tensorflow',
  'gin-config',
)


@dataclasses.dataclass(frozen=True)
class Run:
  """What came of a run.

  Attributes:
    loop: The loop, at its end.
    n_steps: Steps that it trained, in this process.
    seconds: How long it trained, in this process.
    score: Of the evaluation that is configured; `None` if none is.
  """

  loop: Loop
  n_steps: int
  seconds: float
  score: evaluation.Score | None


@exits.exit_codes()
def main(argv: Sequence[str]) -> None:
  finished = run(argv)
  if finished.loop.is_chief:
    print(_summary(finished))
  hosts.wait_for_all()


def run(argv: Sequence[str]) -> Run:
  """Trains, and scores what was trained; takes the command line.

  Raises:
    UserError: At a user's mistake.
    Interrupted: If it was stopped, when all is saved.
  """
  command_line.start(argv, on_hosts=True)
  overrides = reading.configure()
  output_dir = _output_dir()
  with contextlib.ExitStack() as stack:
    with _new_directory(output_dir), explain.config_errors():
      if hosts.is_first():
        _check_folders(output_dir)
        stack.enter_context(locking.locked(output_dir))
      seed = _seed(output_dir)
      evaluate = bindings.evaluator()
      built = _build(output_dir, seed)
      loop = built.loop
      overrides.check_calls()
      overrides.warn()
      loop.measure = dataclasses.replace(
        bindings.measure(), note=evaluation.caveat(loop.model)
      )
      if built.n_steps and loop.is_chief:
        loop.configuration = _configuration(argv, seed)
        _save_config(output_dir, loop.step, loop.configuration)
    start_time = time.time()
    if built.n_steps:
      with explain.layer_errors():
        loop.run(built.n_steps)
    seconds = time.time() - start_time
    if loop.is_chief:
      picture = os.path.join(output_dir, 'learning_curve.png')
      with directories.expendable(picture) as part:
        learning_curves.plot(loop.history, part, loop.measure)
  with explain.layer_errors():
    score = evaluate and evaluate(loop.eval_model)
  return Run(loop, built.n_steps, seconds, score)


def _build(output_dir, seed) -> building.Built:
  """Returns the loop of Trax's `train`, its streams and models built."""
  _check_train_bindings()
  options = gin.get_configurable('trax_hourglass.Loop')()
  try:
    with trax_sets.checked():
      return building.build(output_dir, seed, **options)
  except StopIteration as error:
    raise UserError(
      'train.inputs: got a stream without a batch, expected some to train on '
      'and to evaluate with'
    ) from error
  except AttributeError as error:
    bindings.check_inputs(error)
    raise


def _check_train_bindings():
  """Raises `UserError` at what Trax's `train` would stumble over later."""
  bindings.check_train()
  if FLAGS.init_checkpoint:
    path = find.find_checkpoint(FLAGS.init_checkpoint)
    with gin.unlock_config():
      gin.bind_parameter('train.init_checkpoint', path)
  path = copy.deepcopy(values.bound('train.init_checkpoint'))
  if path is None:
    return
  if not isinstance(path, str):
    raise UserError(
      f'train.init_checkpoint: got {path!r}, expected the name of a checkpoint'
    )
  # Trax takes any weights, in the order they come.
  load.check_weights(
    bindings.model('eval'),
    find.find_checkpoint(path),
    shapes.ShapeDtype((1, trax_bindings.length_multiple()), np.int32),
  )


def _output_dir():
  if not FLAGS.output_dir and jax.process_count() > 1:
    raise UserError(
      '--output_dir: not given, expected one that all hosts share'
    )
  path = os.path.expanduser(
    FLAGS.output_dir or trainer._output_dir_or_default()
  )
  if '://' in path:
    raise UserError(
      f'--output_dir: got {path}, expected a folder of a file system, where '
      'files can be locked and renamed; mount it, or copy it there afterwards'
    )
  return path


def _new_directory(path):
  """Returns the context in which the first of several hosts makes it."""
  if hosts.is_first():
    return directories.writable(path)
  return contextlib.nullcontext()


def _check_folders(path):
  """Raises `UserError` if a file is where a run makes a folder."""
  for name in (folders.FOLDER, 'train', 'eval'):
    folder = os.path.join(path, name)
    if os.path.lexists(folder) and not os.path.isdir(folder):
      raise UserError(
        f'--output_dir: {folder} is a file, expected room for a folder; take '
        'it away or give another directory'
      )


def _seed(output_dir) -> int:
  """Returns `train.random_seed`; else binds the resumed run's, or a new one."""
  seed = copy.deepcopy(values.bound('train.random_seed'))
  if seed is None:
    seed = _earlier_seed(output_dir)
    if seed is None:
      seed = hosts.common_seed()
    with gin.unlock_config():
      gin.bind_parameter('train.random_seed', seed)
  return seed


def _earlier_seed(output_dir):
  newest = max((one.step for one in folders.stored(output_dir)), default=0)
  path = configs.in_force(output_dir, newest)
  if path is None:
    return None
  with tf.io.gfile.GFile(path) as f:
    text = f.read()
  # Trax writes no header.
  for line in (r'# seed: (\d+)', r'train\.random_seed = (\d+)'):
    if match := re.search(f'^{line}$', text, re.MULTILINE):
      return int(match[1])
  return None


def _save_config(output_dir, step, configuration):
  """Writes a run's configuration to its output directory.

  A run that resumes with the configuration in force there writes nothing; one
  that resumes with another writes a new file beside the earlier ones.
  """
  path = os.path.join(output_dir, folders.CONFIG)
  earlier = step and configs.in_force(output_dir, step)
  if earlier:
    with tf.io.gfile.GFile(earlier) as f:
      if _bindings(f.read()) == _bindings(configuration):
        return
    path = os.path.join(output_dir, f'config_{step}.gin')
  with directories.expendable(path) as part, open(part, 'w') as f:
    f.write(configuration)


def _bindings(configuration):
  return configuration.partition('\n\n')[2]


def _configuration(argv, seed) -> str:
  """Returns a gin file with all that `train` needs to repeat the run."""
  versions = ', '.join(f'{name} {_version(name)}' for name in _PACKAGES)
  header = (
    f'command: python -m trax_hourglass.train {shlex.join(argv[1:])}',
    f'directory: {_directory()}',
    f'seed: {seed}',
    f'versions: python {platform.python_version()}, {versions}',
    f'devices: {jax.device_count()} {jax.devices()[0].device_kind}',
  )
  lines = ['# ' + ' '.join(line.split()) for line in header]
  return '\n'.join([*lines, '', operative.text()])


def _directory():
  try:
    return os.getcwd()
  except OSError:  # It has been deleted.
    return '(gone)'


def _version(package):
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return '(source tree)'


def _summary(finished):
  """Returns the lines at the end of a run."""
  loop, n_steps, seconds = finished.loop, finished.n_steps, finished.seconds
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
  lines['score'] = finished.score or (
    'none: bind trax_hourglass.evaluate.text or .evaluate_images.images'
  )
  lines['output'] = (
    f'{loop.output_dir}: checkpoints, model.pkl.gz, config.gin, '
    'learning_curve.png, TensorBoard summaries'
  )
  return '\n'.join(f'{name:12}{text}' for name, text in lines.items())


if __name__ == '__main__':
  main(sys.argv)
