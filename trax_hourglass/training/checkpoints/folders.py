"""Checkpoints on disk: one folder for each step, complete or absent.

`checkpoints/step_00000100/` is written under another name and renamed when all
of it is on disk. Its `manifest.json` holds the size and SHA-256 of each file.
"""

from collections.abc import Callable, Iterable, Mapping
import dataclasses
import errno
import hashlib
import json
import math
import os
import re
import shutil
from typing import BinaryIO

from trax_hourglass.errors import warn
from trax_hourglass.training.checkpoints import aside

FOLDER = 'checkpoints'
MANIFEST = 'manifest.json'
# The configuration that the checkpoint was trained with.
CONFIG = 'config.gin'
_NAME = re.compile(r'step_(\d{8,})')
_UNFINISHED = '.writing_'


class DamagedError(Exception):
  """A checkpoint is not as it was written; says which file and how."""


@dataclasses.dataclass(frozen=True)
class Stored:
  """A checkpoint's step and folder."""

  step: int
  path: str


def stored(directory: str) -> list[Stored]:
  """Returns the checkpoints in an output directory, the newest first."""
  folder = os.path.join(directory, FOLDER)
  names = os.listdir(folder) if os.path.isdir(folder) else ()
  matches = filter(None, map(_NAME.fullmatch, names))
  found = [Stored(int(m[1]), os.path.join(folder, m[0])) for m in matches]
  return sorted(found, key=lambda x: x.step, reverse=True)


def step_folder(directory: str, step: int) -> str:
  """Returns the path of a step's checkpoint, which may not exist."""
  return os.path.join(directory, FOLDER, f'step_{step:08}')


def is_part(name: str) -> bool:
  """Returns whether the folder of checkpoints may have a folder of a name."""
  return bool(_NAME.fullmatch(name)) or aside.is_aside(name)


def write(
  directory: str,
  step: int,
  writers: Mapping[str, Callable[[BinaryIO], None]],
  **facts,
) -> str:
  """Writes a checkpoint, which exists once all of it is on disk.

  Args:
    directory: The output directory.
    step: The training step.
    writers: For each file's name a function that writes it.
    **facts: More entries of the manifest, in types of JSON.

  Returns:
    The checkpoint's folder. An earlier one of the same step is set aside.

  Raises:
    OSError: If it cannot be written; nothing of it is left.
  """
  path = step_folder(directory, step)
  folder = os.path.dirname(path)
  part = os.path.join(folder, f'{_UNFINISHED}step_{step:08}')
  shutil.rmtree(part, ignore_errors=True)
  os.makedirs(part)
  try:
    files = {
      name: _write_file(os.path.join(part, name), writer)
      for name, writer in writers.items()
    }
    content = _sealed({'step': step, **facts, 'files': files})
    _write_file(os.path.join(part, MANIFEST), lambda file: file.write(content))
    _sync(part)
    if os.path.exists(path):
      moved = aside.set_aside(path)
      warn(f'{path}: another checkpoint was there; it is set aside as {moved}')
    os.rename(part, path)
  except BaseException:
    shutil.rmtree(part, ignore_errors=True)
    raise
  _sync(folder)
  _sync(directory)
  return path


def verify(path: str) -> dict:
  """Returns the manifest of a checkpoint's folder.

  Raises:
    DamagedError: If a file is missing or differs from the one written.
  """
  manifest = read_manifest(path)
  for name, expected in manifest['files'].items():
    try:
      with open(os.path.join(path, name), 'rb') as file:
        digest = hashlib.file_digest(file, 'sha256').hexdigest()
        n_bytes = file.tell()
    except OSError as error:
      raise DamagedError(f'{name}: {error.strerror}') from error
    if n_bytes != expected['bytes']:
      raise DamagedError(
        f'{name}: got {n_bytes:,} bytes, expected {expected["bytes"]:,}'
      )
    if digest != expected['sha256']:
      raise DamagedError(f'{name}: its SHA-256 is not that in {MANIFEST}')
  return manifest


def read_manifest(path: str) -> dict:
  """Returns a manifest, without a look at the files; raises `DamagedError`."""
  try:
    with open(os.path.join(path, MANIFEST), 'rb') as file:
      content = file.read()
    manifest = json.loads(content)
    is_sealed = _sealed(manifest) == content
  except OSError as error:
    raise DamagedError(f'{MANIFEST}: {error.strerror}') from error
  except (ValueError, TypeError, AttributeError):
    is_sealed = False
  if not is_sealed:
    raise DamagedError(f'{MANIFEST}: is not as it was written')
  return manifest


def clean(directory: str) -> None:
  """Removes the remains of interrupted writes."""
  folder = os.path.join(directory, FOLDER)
  for name in os.listdir(folder) if os.path.isdir(folder) else ():
    if name.startswith(_UNFINISHED):
      shutil.rmtree(os.path.join(folder, name))


def identity(manifest: dict) -> str:
  """Returns a hash that tells a checkpoint from others of the same step."""
  files = json.dumps(manifest['files'], sort_keys=True)
  return hashlib.sha256(files.encode()).hexdigest()


def record_metrics(path: str, metrics: Mapping[str, float]) -> None:
  """Replaces the metrics in a checkpoint's manifest, atomically.

  Raises:
    DamagedError: If the manifest cannot be read.
    OSError: If the manifest cannot be written; it stays as it was.
  """
  content = _sealed({**read_manifest(path), 'metrics': dict(metrics)})
  file = os.path.join(path, MANIFEST)
  _write_file(f'{file}.new', lambda raw: raw.write(content))
  os.replace(f'{file}.new', file)
  _sync(path)


def abandon(directory: str, paths: Iterable[str]) -> str:
  """Moves checkpoints of an abandoned trajectory into a new folder.

  Args:
    directory: The output directory.
    paths: The files and folders to move, in this order.

  Returns:
    The path of the new folder.

  Raises:
    OSError: If one cannot be moved; those after it stay.
  """
  folder = os.path.join(directory, FOLDER)
  moved = aside.abandoned_folder(folder)
  for path in paths:
    # `os.rename` would fail if the folder is a link to another disk.
    shutil.move(path, os.path.join(moved, os.path.basename(path)))
  for changed in (moved, folder, directory):
    _sync(changed)
  return moved


def prune(
  directory: str,
  keep_last: int,
  lowest: str | None,
  highest: str | None,
  written: str | None = None,
) -> None:
  """Removes all checkpoints but those to keep.

  Args:
    directory: The output directory.
    keep_last: How many of the newest are kept. Permanent ones are, too.
    lowest: A metric; the checkpoint with its lowest finite value is kept.
    highest: The same for the highest value.
    written: The folder of the checkpoint just written, which is kept.

  Raises:
    OSError: If a checkpoint cannot be removed, after removing the others.
  """
  manifests = {}
  for one in stored(directory):
    try:
      manifests[one] = read_manifest(one.path)
    except DamagedError:
      continue  # It is left to be inspected, and counts for nothing.
  kept = {*list(manifests)[:keep_last]} | {
    one
    for one, manifest in manifests.items()
    if manifest['permanent'] or one.path == written
  }
  for metric, best in ((lowest, min), (highest, max)):
    values = {
      one: manifest['metrics'][metric]
      for one, manifest in manifests.items()
      if math.isfinite(manifest['metrics'].get(metric, math.nan))
    }
    if values:
      kept.add(best(values, key=values.get))
  errors = []
  for one in manifests:
    if one not in kept:
      try:
        _remove(one.path)
      except OSError as error:
        errors.append(error)
  if errors:
    raise errors[0]


def _remove(path):
  """Removes a checkpoint, renamed first so that it never exists in part."""
  folder, name = os.path.split(path)
  removed = os.path.join(folder, _UNFINISHED + name)
  os.rename(path, removed)
  shutil.rmtree(removed)


def _write_file(path, write):
  """Writes a file through to the disk; returns its size and SHA-256."""
  with open(path, 'wb') as raw:
    file = _Hashed(raw)
    write(file)
    raw.flush()
    os.fsync(raw.fileno())
  return {'bytes': file.n_bytes, 'sha256': file.sha256.hexdigest()}


class _Hashed:
  """A file being written, with its size and SHA-256 so far."""

  def __init__(self, file):
    self._file = file
    self.n_bytes = 0
    self.sha256 = hashlib.sha256()

  def write(self, content):
    view = memoryview(content).cast('B')
    self._file.write(view)
    self.sha256.update(view)
    self.n_bytes += len(view)
    return len(view)

  def flush(self):
    self._file.flush()


def _sealed(manifest):
  """Returns a manifest's bytes, which include a checksum of the rest."""
  rest = {key: manifest[key] for key in sorted(manifest) if key != 'seal'}
  seal = hashlib.sha256(json.dumps(rest).encode()).hexdigest()
  return json.dumps({**rest, 'seal': seal}, indent=1).encode()


def _sync(folder):
  """Makes a folder's entries survive a power failure."""
  descriptor = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  except OSError as error:
    # Some file systems, such as VirtualBox's, cannot do that for folders.
    if error.errno != errno.EINVAL:
      raise
  finally:
    os.close(descriptor)
