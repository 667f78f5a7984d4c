"""Search for the checkpoint that a path stands for: a file, or the newest."""

import glob
import os

from trax_hourglass import addresses, pretrained_models
from trax_hourglass.errors import UserError, warn
from trax_hourglass.training.checkpoints import aside, folders, remote
from trax_hourglass.training.checkpoints.format import SUFFIX, read_step


def find_checkpoint(path: str) -> str:
  """Returns the path of the checkpoint at `path`.

  Args:
    path: A checkpoint or its folder; or an output directory, for its newest
      undamaged checkpoint. If Trax wrote it, with `model.pkl.gz`,
      `model_STEP.pkl.gz`, ..., the newest is told by their times. Or what
      `export` wrote, a file or a folder. Or the address of any of these, of
      which a copy is made.

  Raises:
    UserError: If there is none, or none that is whole.
  """
  path = pretrained_models.local(path)
  if addresses.is_address(path):
    path = remote.local_copy(path)
  path = os.path.expanduser(path)
  if not os.path.exists(path):
    raise UserError(
      f'checkpoint: {path} does not exist; give a *{SUFFIX} file or the '
      'directory that holds it'
    )
  if not os.path.isdir(path):
    _check_whole(os.path.dirname(path))
    return path
  _check_whole(path)
  if folders.stored(path):
    found = newest_whole(path, set_aside=False)
  else:
    found = _newest_by_time(path) or _exported(path)
  if found is None:
    raise UserError(
      f'checkpoint: no model{SUFFIX} in {path}; train there first or give '
      'another directory'
    )
  return found


def find_run(path: str) -> str:
  """Returns the output directory that a checkpoint, a file, belongs to."""
  folder = above = os.path.dirname(os.path.realpath(path))
  while folders.is_part(os.path.basename(above)):
    above = os.path.dirname(above)
  is_part = above != folder and os.path.basename(above) == folders.FOLDER
  return os.path.dirname(above) if is_part else folder


def newest_whole(directory: str, *, set_aside: bool) -> str | None:
  """Returns the path of the newest checkpoint in an output directory.

  Damaged ones are passed over, with a warning for each. One that Trax's own
  loop wrote there, having resumed from ours, counts by its step.

  Args:
    directory: The output directory.
    set_aside: Whether to rename damaged ones; only for the run that writes
      there.

  Raises:
    UserError: If there are some and all are damaged.
  """
  damaged = []
  steps = folders.stored(directory)
  flat = written_by_trax(directory)
  if flat and (not steps or _is_newer(flat, steps[0].step)):
    return flat
  for one in steps:
    try:
      folders.verify(one.path)
    except folders.DamagedError as error:
      damaged.append((one, error))
      continue
    for other, error in damaged:
      moved = aside.set_aside(other.path) if set_aside else None
      warn(
        f'checkpoint {other.path} is damaged ({error})'
        f'{f", set aside as {moved}" if moved else ""}; using that of step '
        f'{one.step}'
      )
    return os.path.join(one.path, f'model{SUFFIX}')
  if damaged:
    which = ', '.join(f'step {one.step} ({e})' for one, e in damaged)
    raise UserError(
      f'checkpoints: all in {directory} are damaged: {which}; put one back '
      'from a copy, or give another directory to start again'
    )
  if left := aside.paths_aside(os.path.join(directory, folders.FOLDER)):
    warn(
      f'{directory} has no checkpoints but those set aside: {", ".join(left)}'
    )
  return None


def written_by_trax(directory: str) -> str | None:
  """Returns the path of the newest checkpoint of Trax's loop, if any."""
  path = os.path.join(directory, f'model{SUFFIX}')
  # Our loop makes it a link.
  return path if os.path.isfile(path) and not os.path.islink(path) else None


def _is_newer(path, step):
  try:
    return read_step(path) > step
  except UserError as error:
    warn(f'{error}; passed over')
    return False


def _check_whole(folder):
  """Raises `UserError` if a folder is that of a damaged checkpoint."""
  if not os.path.exists(os.path.join(folder, folders.MANIFEST)):
    return
  try:
    folders.verify(folder)
  except folders.DamagedError as error:
    raise UserError(
      f'checkpoint {folder}: is damaged ({error}); use another one'
    ) from error


def _exported(directory):
  path = os.path.join(directory, pretrained_models.WEIGHTS)
  return path if os.path.isfile(path) else None


def _newest_by_time(directory):
  found = glob.glob(os.path.join(glob.escape(directory), '*' + SUFFIX))
  return max(filter(os.path.isfile, found), key=os.path.getmtime, default=None)
