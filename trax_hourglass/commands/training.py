"""Trax's `train` as gin files configure it, on our loop."""

import contextlib
import copy
import dataclasses
import datetime
import itertools
import os
import time
from typing import Unpack

import gin
import jax
import numpy as np
from trax import shapes

from trax_hourglass import addresses, evaluation, pretrained_models
from trax_hourglass.commands import run_config
from trax_hourglass.configuration import (
  bindings,
  directories,
  explain,
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


@dataclasses.dataclass(frozen=True)
class Run:
  """A finished run.

  Attributes:
    loop: The loop, at its end.
    n_steps: Steps that it trained, in this process.
    seconds: How long it trained, in this process.
    score: The score of the evaluation that is bound; `None` if none is.
  """

  loop: Loop
  n_steps: int
  seconds: float
  score: evaluation.Score | None


def train(
  output_dir: str | None = None,
  *,
  init_checkpoint: str | None = None,
  pretrained: str | None = None,
  command: str = 'trax_hourglass.commands.train',
  **configuration: Unpack[reading.Configuration],
) -> Run:
  """Trains with Trax's `train`, on our loop, and scores what was trained.

  Called again with the same arguments it resumes.

  Args:
    output_dir: Where the run is kept; by default a new folder in `~/trax`.
    init_checkpoint: A checkpoint whose weights training starts from.
    pretrained: In its place, a model that ships with this package, or a folder
      that `export` wrote. Without `config_file`, its configuration is used.
    command: How the run was started, for the header of its `config.gin`.
    **configuration: As in `reading.Configuration`.

  Raises:
    UserError: At a user's mistake.
    Interrupted: If it was stopped, when all is saved.
  """
  if pretrained is not None:
    if init_checkpoint:
      raise UserError(
        'init_checkpoint and pretrained are both given, expected one'
      )
    init_checkpoint = pretrained_models.find(pretrained)
    if not configuration.get('config_file'):
      path = find.find_checkpoint(init_checkpoint)
      configuration['config_file'] = configs.find(path)
  addresses.check_on_disk('--output_dir', output_dir)
  output_dir = output_dir and os.path.expanduser(output_dir)
  has_none = not any(map(configuration.get, ('config_file', 'config', 'model')))
  if has_none and output_dir and (saved := configs.newest(output_dir)):
    raise UserError(
      f'no configuration is given; the run in {output_dir} resumes with '
      f'--config_file={saved}'
    )
  overrides = reading.configure(**configuration)
  output_dir = output_dir or os.path.expanduser(_default_output_dir())
  with contextlib.ExitStack() as stack:
    with _new_directory(output_dir), explain.config_errors():
      if hosts.is_first():
        _check_folders(output_dir)
        stack.enter_context(locking.locked(output_dir))
      seed = run_config.seed(output_dir)
      evaluate = bindings.evaluator()
      _check_bindings(init_checkpoint)
      built = _build(output_dir, seed)
      loop = built.loop
      run_config.check_first_weights(output_dir, loop.step)
      overrides.check_calls()
      overrides.warn()
      loop.measure = dataclasses.replace(
        bindings.measure(), note=evaluation.caveat(loop.model)
      )
      if built.n_steps and loop.is_chief:
        loop.configuration = run_config.text(command, seed)
        run_config.save(output_dir, loop.step, loop.configuration)
    start_time = time.monotonic()
    if built.n_steps or loop.is_eval_due:
      with explain.training_errors():
        loop.run(built.n_steps)
    seconds = time.monotonic() - start_time
    if loop.is_chief:
      picture = os.path.join(output_dir, 'learning_curve.png')
      with directories.expendable(picture) as part:
        learning_curves.plot(loop.history, part, loop.measure)
  with explain.layer_errors():
    score = evaluate and evaluate(loop.eval_model)
  return Run(loop, built.n_steps, seconds, score)


def _build(output_dir, seed) -> building.Built:
  """Returns the loop of Trax's `train`, its streams and models built."""
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


def _check_bindings(init_checkpoint):
  """Raises `UserError` at what Trax's `train` would stumble over later."""
  bindings.check_train()
  if init_checkpoint:
    path = init_checkpoint
    if not addresses.is_address(path):  # Which a saved configuration keeps.
      path = find.find_checkpoint(path)
    with gin.unlock_config():
      gin.bind_parameter('train.init_checkpoint', path)
  path = copy.deepcopy(values.bound('train.init_checkpoint'))
  if path is None:
    return
  if not isinstance(path, str):
    raise UserError(
      f'train.init_checkpoint: got {path!r}, expected the name of a checkpoint'
    )
  path = find.find_checkpoint(path)
  bindings.check_model(path)
  # Trax takes any weights, in the order they come.
  load.check_weights(
    bindings.model('eval'),
    path,
    shapes.ShapeDtype((1, trax_bindings.length_multiple()), np.int32),
  )


def _default_output_dir():
  """Returns a new folder, named as `trax.trainer` names it.

  A number follows if there is one of that name, as of a run a moment before.
  """
  if jax.process_count() > 1:
    raise UserError(
      '--output_dir: not given, expected one that all hosts share'
    )
  model = values.selector('train.model').rpartition('.')[2]
  data = values.value('data_streams.dataset_name', 'random')
  first = f'~/trax/{model}_{data}_{datetime.datetime.now():%Y%m%d_%H%M}'
  paths = itertools.chain([first], (f'{first}_{i}' for i in itertools.count(2)))
  path = next(x for x in paths if not os.path.lexists(os.path.expanduser(x)))
  print(f'--output_dir: not given, using {path}')
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
