"""The configuration that a checkpoint was trained with.

It is in the checkpoint's folder. Trax and earlier versions saved it only in the
output directory: as `config.gin`, and as `config_STEP.gin` where a run was
resumed at STEP with another configuration.
"""

import os
import re

from trax_hourglass import pretrained_models
from trax_hourglass.training.checkpoints import folders, format
from trax_hourglass.training.checkpoints.find import find_run

_LATER = re.compile(r'config_(\d+)\.gin')


def find(path: str) -> str | None:
  """Returns the path of a checkpoint's configuration, `None` if there is none.

  It is in the step's folder, after following links; else it is the one in force
  at that step, beside the checkpoint or in the output directory.

  Args:
    path: The checkpoint, a `*.pkl.gz` file, or an exported model.
  """
  if path.endswith(pretrained_models.SUFFIX):
    return _by_step(os.path.dirname(path)).get(0)
  for folder in map(os.path.dirname, (path, os.path.realpath(path))):
    names = folders.CONFIG, folders.MANIFEST
    own, manifest = (os.path.join(folder, name) for name in names)
    if os.path.exists(own) and os.path.exists(manifest):
      return own
  for folder in (os.path.dirname(path), find_run(path)):
    if len(_by_step(folder)) > 1:
      found = in_force(folder, format.read_step(path))
    else:
      found = next(iter(_by_step(folder).values()), None)
    if found:
      return found
  return None


def in_force(directory: str, step: int) -> str | None:
  """Returns the path of the configuration in force at a step of a run.

  It is the one in the step's folder; else the last one in the output directory
  with which a run was started or resumed at that step or earlier.
  """
  saved = os.path.join(folders.step_folder(directory, step), folders.CONFIG)
  if os.path.exists(saved):
    return saved
  paths = _by_step(directory)
  return paths.get(max((x for x in paths if x <= step), default=None))


def newest(directory: str) -> str | None:
  """Returns the path of the configuration in force at the newest checkpoint."""
  steps = (one.step for one in folders.stored(directory))
  return in_force(directory, max(steps, default=0))


def _by_step(directory) -> dict[int, str]:
  """Returns the paths of configurations by the first step of each."""
  directory = directory or '.'
  names = os.listdir(directory) if os.path.isdir(directory) else ()
  steps = {int(m[1]): m[0] for m in filter(None, map(_LATER.fullmatch, names))}
  if folders.CONFIG in names:
    steps[0] = folders.CONFIG
  return {step: os.path.join(directory, name) for step, name in steps.items()}
