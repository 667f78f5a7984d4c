"""The configuration that a checkpoint was trained with, found on disk.

A checkpoint's folder holds it. Runs of earlier versions have it in the output
directory alone: `config.gin` and, where they went on with another one from
STEP, `config_STEP.gin`. So has a directory that Trax wrote.
"""

import os
import re

import tensorflow as tf

from trax_hourglass.training import checkpoints, storage

_LATER = re.compile(r'config_(\d+)\.gin')


def find(path: str) -> str | None:
  """Returns the path of the configuration of a checkpoint; `None` if none is.

  Args:
    path: A `*.pkl.gz` file. Of a link to one in a step's folder, the folder's
      configuration; else the one in force at its step, beside it or in the
      output directory.
  """
  for folder in map(os.path.dirname, (path, os.path.realpath(path))):
    names = storage.CONFIG, storage.MANIFEST
    own, manifest = (os.path.join(folder, name) for name in names)
    if os.path.exists(own) and os.path.exists(manifest):
      return own
  for folder in (os.path.dirname(path), checkpoints.find_run(path)):
    if len(_by_step(folder)) > 1:
      found = in_force(folder, checkpoints.read_step(path))
    else:
      found = next(iter(_by_step(folder).values()), None)
    if found:
      return found
  return None


def in_force(directory: str, step: int) -> str | None:
  """Returns the path of an output directory's configuration at a step.

  That is the one in the step's folder; or, of those in the output directory,
  the last that a run went on with at that step or before.
  """
  of_step = os.path.join(storage.step_folder(directory, step), storage.CONFIG)
  if os.path.exists(of_step):
    return of_step
  paths = _by_step(directory)
  return paths.get(max((x for x in paths if x <= step), default=None))


def _by_step(directory) -> dict[int, str]:
  """Returns the configurations in a directory by the step they begin at."""
  directory = directory or '.'
  names = tf.io.gfile.listdir(directory) if tf.io.gfile.isdir(directory) else ()
  steps = {int(m[1]): m[0] for m in filter(None, map(_LATER.fullmatch, names))}
  if storage.CONFIG in names:
    steps[0] = storage.CONFIG
  return {step: os.path.join(directory, name) for step, name in steps.items()}
