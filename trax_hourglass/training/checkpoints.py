"""Trax's checkpoints, found, and read as data.

A checkpoint is a gzipped pickle, `model.pkl.gz`. Its `flat_weights` are the
weights, or, as newer versions of Trax write it, a number; the weights are then
in `model.weights.npy.gz` beside it, and the optimizer's slots in
`model.opt_slots0.npy.gz`. Ours are such files in a folder for each step, see
`storage`.
"""

from collections.abc import Iterator, Sequence
import gzip
import itertools
import os
import zlib

import jax
from jax import numpy as jnp
import numpy as np
import tensorflow as tf
from trax import layers as tl
from trax import shapes

from trax_hourglass.errors import UserError, warn
from trax_hourglass.training import aside, pickles, storage

SUFFIX = '.pkl.gz'

# The key in Trax's dictionary of what Trax has no place for.
EXTRA = 'trax_hourglass'

# Of a language model's input; its weights do not depend on how many there are.
TOKENS = shapes.ShapeDtype((1, 1), np.int32)


def find_checkpoint(path: str) -> str:
  """Returns the path of the checkpoint at `path`.

  Args:
    path: A checkpoint or its folder; or an output directory: the newest one
      there that is whole. A directory that Trax wrote has `model.pkl.gz`,
      `model_STEP.pkl.gz`, ...: the newest by their time.

  Raises:
    UserError: If there is none, or none that is whole.
  """
  path = os.path.expanduser(path)
  if not tf.io.gfile.exists(path):
    raise UserError(
      f'checkpoint: {path} does not exist; give a *{SUFFIX} file or the '
      'directory that holds it'
    )
  if not tf.io.gfile.isdir(path):
    _check_whole(os.path.dirname(path))
    return path
  _check_whole(path)
  if storage.stored(path):
    found = newest_whole(path, set_aside=False)
  else:
    found = _newest_by_time(path)
  if found is None:
    raise UserError(
      f'checkpoint: no model{SUFFIX} in {path}; train there first or give '
      'another directory'
    )
  return found


def find_run(path: str) -> str:
  """Returns the output directory that a checkpoint, a file, belongs to."""
  folder = above = os.path.dirname(os.path.realpath(path))
  while storage.is_part(os.path.basename(above)):
    above = os.path.dirname(above)
  is_part = above != folder and os.path.basename(above) == storage.FOLDER
  return os.path.dirname(above) if is_part else folder


def newest_whole(directory: str, *, set_aside: bool) -> str | None:
  """Returns the path of the newest checkpoint in an output directory.

  Those that are damaged are passed over, with a warning for each. One that
  Trax's own loop wrote there, after it had gone on from ours, counts by its
  step.

  Args:
    directory: The output directory.
    set_aside: Whether to rename damaged ones; only for whoever writes there.

  Raises:
    UserError: If there are some and all are damaged.
  """
  damaged = []
  steps = storage.stored(directory)
  flat = written_by_trax(directory)
  if flat and (not steps or _is_newer(flat, steps[0].step)):
    return flat
  for one in steps:
    try:
      storage.verify(one.path)
    except storage.DamagedError as error:
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
  if left := aside.paths_aside(os.path.join(directory, storage.FOLDER)):
    warn(
      f'{directory} has no checkpoints but those set aside: {", ".join(left)}'
    )
  return None


def written_by_trax(directory: str) -> str | None:
  """Returns the path of the newest checkpoint of Trax's own loop, if any."""
  path = os.path.join(directory, f'model{SUFFIX}')
  # Our loop makes it a link.
  return path if os.path.isfile(path) and not os.path.islink(path) else None


def load_checkpoint(path: str) -> dict:
  """Returns the content of a checkpoint, as Trax has it in a dictionary.

  Nothing that the file names is run: it is read as data, whatever it is.

  Args:
    path: What `find_checkpoint` takes.

  Returns:
    A dictionary with `step`, `history`, ..., and lists of arrays:
    `flat_weights`, `flat_state` and, for each task, `slots_per_task`.

  Raises:
    UserError: If there is none, or it cannot be read.
  """
  path = find_checkpoint(path)
  content = _read_pickle(path)
  content['flat_weights'] = read_weights(path)
  if isinstance(content.get('slots_per_task'), int):
    content['slots_per_task'] = list(_read_slots(path))
  elif 'slots' in content:  # Before Trax had several tasks.
    content['slots_per_task'] = [content['slots']]
  return content


def load_weights(model, path: str, input_signature) -> None:
  """Initialises a layer with the weights of a checkpoint.

  Trax itself stops at the shorter of the two lists of weights and checks no
  shape.

  Args:
    model: Trax layer.
    path: A `*.pkl.gz` file.
    input_signature: `ShapeDtype` of the layer's input.

  Raises:
    UserError: If the checkpoint cannot be read, or is of another architecture.
  """
  weights = _read_fitting_weights(model, path, input_signature)
  model.init(input_signature)
  signature = model.weights_and_state_signature(input_signature)
  model.weights, _ = tl.unflatten_weights_and_state(
    weights, (), signature, weights_only=True
  )


def set_weights(model, path: str, input_signature) -> None:
  """Gives a layer the weights of a checkpoint, and no state.

  That spares its initialisation, which takes seconds. Arguments and errors are
  those of `load_weights`.
  """
  weights = _read_fitting_weights(model, path, input_signature)
  signature = model.weights_and_state_signature(input_signature)
  model.weights, _ = tl.unflatten_weights_and_state(
    jax.device_put(weights), None, signature, weights_only=True
  )


def check_weights(model, path: str, input_signature) -> None:
  """Raises `UserError` unless a checkpoint has the weights of a layer.

  Arguments are those of `load_weights`.
  """
  _read_fitting_weights(model, path, input_signature)


def read_step(path: str) -> int:
  """Returns the number of steps trained when a checkpoint was written."""
  return _read_pickle(path)['step']


def read_weights(path: str) -> list[np.ndarray]:
  """Returns the flat weights in a checkpoint.

  Raises:
    UserError: If it cannot be read.
  """
  weights = _read_pickle(path)['flat_weights']
  if isinstance(weights, int):
    weights = _read_arrays(path.removesuffix(SUFFIX) + '.weights.npy.gz')
  return weights


def check_arrays(path: str, kind: str, got: Sequence, expected: Sequence):
  """Raises `UserError` at the first difference in number or shape."""
  advice = 'use the configuration it was trained with, or another directory'
  if len(got) != len(expected):
    raise UserError(
      f'checkpoint {path}: got {len(got)} {kind} arrays, expected the '
      f"model's {len(expected)}; {advice}"
    )
  for i, (x, y) in enumerate(zip(got, expected, strict=True)):
    if np.shape(x) != np.shape(y):
      raise UserError(
        f'checkpoint {path}: {kind} array {i} has shape {np.shape(x)}, '
        f"expected the model's {np.shape(y)}; {advice}"
      )


def _is_newer(path, step):
  try:
    return read_step(path) > step
  except UserError as error:
    warn(f'{error}; it is passed over')
    return False


def _check_whole(folder):
  """Raises `UserError` if a folder is that of a step, and damaged."""
  if not os.path.exists(os.path.join(folder, storage.MANIFEST)):
    return
  try:
    storage.verify(folder)
  except storage.DamagedError as error:
    raise UserError(
      f'checkpoint {folder}: is damaged ({error}); use another one'
    ) from error


def _newest_by_time(directory):
  found = tf.io.gfile.glob(os.path.join(directory, '*' + SUFFIX))
  return max(
    found, key=lambda name: tf.io.gfile.stat(name).mtime_nsec, default=None
  )


def _read_fitting_weights(model, path, input_signature):
  signature = model.weights_and_state_signature(input_signature)
  expected, _ = tl.flatten_weights_and_state(*signature)
  weights = read_weights(path)
  check_arrays(path, 'weight', weights, expected)
  return weights


def _read_pickle(path):
  try:
    with tf.io.gfile.GFile(path, 'rb') as f, gzip.GzipFile(fileobj=f) as f:
      content = pickles.load(f)
  except pickles.ForbiddenError as error:
    raise UserError(
      f'{path}: names {error}, which is no part of a checkpoint and was not '
      'run; use a checkpoint that Trax wrote'
    ) from error
  except Exception as error:  # Unpickling a damaged file may raise anything.
    raise _unreadable(path, error) from error
  weights = content.get('flat_weights') if isinstance(content, dict) else None
  if not isinstance(weights, int | list | tuple):
    raise UserError(
      f'{path}: got another kind of file than a Trax checkpoint; give the '
      f'model{SUFFIX} of a run'
    )
  return content


def _read_slots(path) -> Iterator[list[np.ndarray]]:
  for i in itertools.count():
    slots = path.removesuffix(SUFFIX) + f'.opt_slots{i}.npy.gz'
    if not tf.io.gfile.exists(slots):
      return
    yield _read_arrays(slots)


def _read_arrays(path):
  """Returns the arrays in a file; Trax's own reader hides where it breaks."""
  arrays = []
  try:
    with tf.io.gfile.GFile(path, 'rb') as f, gzip.GzipFile(fileobj=f) as f:
      while f.peek(1):
        array = np.lib.format.read_array(f, allow_pickle=False)
        # NumPy has no bfloat16: Trax writes its bits.
        is_bits = array.dtype == np.uint16
        arrays.append(array.view(jnp.bfloat16) if is_bits else array)
  except (
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    tf.errors.OpError,
  ) as error:
    raise _unreadable(path, error) from error
  return arrays


def _unreadable(path, error):
  return UserError(
    f'{path}: cannot be read as a checkpoint ({error}); it may be truncated: '
    'use another one, or delete it to start again'
  )
