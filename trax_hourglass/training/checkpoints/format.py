"""Trax's format of checkpoints: written, and read as data.

A checkpoint is a gzipped pickle, `model.pkl.gz`. Its `flat_weights` are the
weights or, from newer versions of Trax, a number: then the weights are beside
it in `model.weights.npy.gz`, and the optimizer's slots in
`model.opt_slots0.npy.gz`.
"""

from collections.abc import Callable, Iterator, Sequence
import gzip
import itertools
import os
import pickle
from typing import BinaryIO
import zlib

from jax import numpy as jnp
import numpy as np

from trax_hourglass.errors import UserError
from trax_hourglass.training.checkpoints import pickles

SUFFIX = '.pkl.gz'

# The key in Trax's dictionary for what Trax does not save.
EXTRA = 'trax_hourglass'

# Random float32 compresses by 7%, at 30 megabytes a second.
LEVEL = 0


def read_pickle(path: str) -> dict:
  """Returns Trax's dictionary, with numbers for arrays in other files.

  Raises:
    UserError: If the file cannot be read, or is not a checkpoint.
  """
  try:
    with gzip.open(path) as f:
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
      f'{path}: is not a checkpoint of Trax; give the model{SUFFIX} of a run'
    )
  return content


def read_step(path: str) -> int:
  """Returns the number of steps trained when a checkpoint was written."""
  return read_pickle(path)['step']


def read_weights(path: str) -> list[np.ndarray]:
  """Returns the flat weights in a checkpoint.

  Raises:
    UserError: If it cannot be read.
  """
  weights = read_pickle(path)['flat_weights']
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


def writer(content: str | dict | list) -> Callable[[BinaryIO], None]:
  """Returns a function that writes a text, dictionary, or list of arrays."""
  if isinstance(content, str):
    return lambda file: file.write(content.encode())
  is_pickled = isinstance(content, dict)
  write, level = (_pickle, 1) if is_pickled else (_write_arrays, LEVEL)

  def write_zipped(file):
    with gzip.GzipFile('', 'wb', level, file, mtime=0) as zipped:
      write(content, zipped)

  return write_zipped


def _pickle(content, file):
  pickle.dump(content, file, protocol=pickle.HIGHEST_PROTOCOL)


def _write_arrays(arrays, file):
  for x in arrays:
    # As Trax writes it: NumPy has no bfloat16.
    bits = x.view(np.uint16) if x.dtype == jnp.bfloat16 else x
    np.lib.format.write_array(file, bits, allow_pickle=False)


def read_slots(path: str) -> Iterator[list[np.ndarray]]:
  """Yields each task's optimizer slots from the files beside a checkpoint."""
  for i in itertools.count():
    slots = path.removesuffix(SUFFIX) + f'.opt_slots{i}.npy.gz'
    if not os.path.exists(slots):
      return
    yield _read_arrays(slots)


def _read_arrays(path):
  """Returns the arrays in a file; Trax's reader hides which file is broken."""
  arrays = []
  try:
    with gzip.open(path) as f:
      while f.peek(1):
        array = np.lib.format.read_array(f, allow_pickle=False)
        # NumPy has no bfloat16: Trax writes its bits.
        is_bits = array.dtype == np.uint16
        arrays.append(array.view(jnp.bfloat16) if is_bits else array)
  except (OSError, EOFError, ValueError, zlib.error) as error:
    raise _unreadable(path, error) from error
  return arrays


def _unreadable(path, error):
  return UserError(
    f'{path}: cannot be read as a checkpoint ({error}); it may be truncated: '
    'use another one, or delete it to start again'
  )
