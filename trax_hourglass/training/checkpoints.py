"""Trax's checkpoints, refused where Trax would load something else from them.

A checkpoint is a gzipped pickle, `model.pkl.gz`. Its `flat_weights` are the
weights, or, as newer versions of Trax write it, a number; the weights are then
in `model.weights.npy.gz` beside it, and the optimizer's slots in
`model.opt_slots0.npy.gz`.
"""

from collections.abc import Sequence
import gzip
import os
import zlib

import jax
import numpy as np
import tensorflow as tf
from trax import layers as tl
from trax import shapes
from trax.supervised import training

from trax_hourglass.errors import UserError

SUFFIX = '.pkl.gz'

# Of a language model's input; its weights do not depend on how many there are.
TOKENS = shapes.ShapeDtype((1, 1), np.int32)


def find_checkpoint(path: str) -> str:
  """Returns the path of the checkpoint at `path`.

  Args:
    path: A checkpoint, or a directory: the newest of the checkpoints in it,
      by their time; Trax calls them `model.pkl.gz`, `model_STEP.pkl.gz`, ....

  Raises:
    UserError: If there is none.
  """
  path = os.path.expanduser(path)
  if tf.io.gfile.isdir(path):
    found = tf.io.gfile.glob(os.path.join(path, '*' + SUFFIX))
    if not found:
      raise UserError(
        f'checkpoint: no model{SUFFIX} in {path}; train there first or give '
        'another directory'
      )
    path = max(found, key=lambda name: tf.io.gfile.stat(name).mtime_nsec)
  elif not tf.io.gfile.exists(path):
    raise UserError(
      f'checkpoint: {path} does not exist; give a *{SUFFIX} file or the '
      'directory that holds it'
    )
  return path


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
  check_weights(model, path, input_signature)
  model.init_from_file(path, weights_only=True, input_signature=input_signature)


def set_weights(model, path: str, input_signature) -> None:
  """Gives a layer the weights of a checkpoint, and no state.

  That spares its initialisation, which takes seconds. Arguments and errors are
  those of `load_weights`.
  """
  signature = model.weights_and_state_signature(input_signature)
  expected, _ = tl.flatten_weights_and_state(*signature)
  weights = read_weights(path)
  check_arrays(path, 'weight', weights, expected)
  model.weights, _ = tl.unflatten_weights_and_state(
    jax.device_put(weights), None, signature, weights_only=True
  )


def check_weights(model, path: str, input_signature) -> None:
  """Raises `UserError` unless a checkpoint has the weights of a layer.

  Arguments are those of `load_weights`.
  """
  signature = model.weights_and_state_signature(input_signature)
  expected, _ = tl.flatten_weights_and_state(*signature)
  check_arrays(path, 'weight', read_weights(path), expected)


def check_resumable(path: str, model, trainers: Sequence) -> None:
  """Raises `UserError` unless a loop can go on from a checkpoint.

  Trax matches weights and slots by shape alone, skips what does not match and
  leaves what is missing as it is.

  Args:
    path: A `*.pkl.gz` file.
    model: The loop's initialised model.
    trainers: The loop's `trax.optimizers.Trainer` of each task.
  """
  expected, _ = tl.flatten_weights_and_state(model.weights, model.state)
  check_arrays(path, 'weight', read_weights(path), expected)
  for i, trainer in enumerate(trainers):
    slots = path.removesuffix(SUFFIX) + f'.opt_slots{i}.npy.gz'
    if tf.io.gfile.exists(slots):
      expected = training._flatten_and_remove_empty(trainer.slots)
      check_arrays(path, 'optimizer slot', _read_arrays(slots), expected)


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


def _read_pickle(path):
  try:
    content = training.unpickle_from_file(path, gzip=True)
  except Exception as error:  # Unpickling a damaged file may raise anything.
    raise _unreadable(path, error) from error
  if not isinstance(content, dict) or 'flat_weights' not in content:
    raise UserError(f'{path}: got another kind of file than a Trax checkpoint')
  return content


def _read_arrays(path):
  """Returns the arrays in a file; Trax's own reader hides where it breaks."""
  arrays = []
  try:
    with tf.io.gfile.GFile(path, 'rb') as f, gzip.GzipFile(fileobj=f) as f:
      while f.peek(1):
        arrays.append(np.lib.format.read_array(f, allow_pickle=False))
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
