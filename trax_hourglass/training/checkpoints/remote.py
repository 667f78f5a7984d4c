"""Checkpoints at addresses: which files to copy."""

import os
import re

from trax_hourglass import addresses
from trax_hourglass.errors import UserError
from trax_hourglass.training.checkpoints import folders
from trax_hourglass.training.checkpoints.format import SUFFIX

_STEP = re.compile(rf'({folders.FOLDER}/step_(\d{{8,}})/){folders.MANIFEST}')
_DEPTH = 3  # Of a checkpoint's files in an output directory.
_CONFIG = re.compile(r'config(_\d+)?\.gin')


def local_copy(address: str) -> str:
  """Returns the path that an address has in a copy on disk.

  The copy has one checkpoint, for an output directory its newest, and the
  configurations of its run.

  Args:
    address: A checkpoint, its folder, or an output directory.

  Raises:
    UserError: If there is no checkpoint, or it cannot be copied.
  """
  address = address.rstrip('/')
  names = addresses.files(address, _DEPTH)
  if not names:
    raise UserError(
      f'checkpoint: {address} does not exist; give a *{SUFFIX} file or the '
      'folder that holds it'
    )
  file = ''
  run = address
  if names == ['']:
    run, file = addresses.split(address)
  step, is_given = '', bool(file)
  above, name = addresses.split(run)
  if folders.is_part(name) and addresses.split(above)[1] == folders.FOLDER:
    step, is_given = f'{folders.FOLDER}/{name}/', True
    run, _ = addresses.split(above)
  if run != address:
    names = addresses.files(run, _DEPTH if step else 1)
  if not is_given:
    steps = filter(None, map(_STEP.fullmatch, names))
    newest = max(steps, key=lambda match: int(match[2]), default=None)
    step = newest[1] if newest else ''
  copied = _checkpoint(names, step, file or f'model{SUFFIX}')
  if not copied:
    raise UserError(
      f'checkpoint: no model{SUFFIX} in {address}; give the address of a file, '
      'or of another folder'
    )
  copied += filter(_CONFIG.fullmatch, names)
  copy = addresses.copy(run, sorted(set(copied)))
  return os.path.join(copy, step, file).rstrip('/') if is_given else copy


def _checkpoint(names, folder, file):
  """Returns the names of a checkpoint's files in a folder of a run."""
  inside = [name for name in names if name.rpartition('/')[0] == folder[:-1]]
  if folder + folders.MANIFEST in inside:  # It lists all of them.
    return inside
  stem = folder + file.removesuffix(SUFFIX)
  return [x for x in inside if x == folder + file or x.startswith(f'{stem}.')]
