"""Models in safetensors files: weights by name, and the model's arguments.

The metadata has one entry, so that equal models make equal files: in JSON the
arguments, the SHA-256 of those and of all weights, and whether the weights were
rounded for the file.
"""

import hashlib
import inspect
import os

import jax
from jax import numpy as jnp
import numpy as np
import safetensors
from safetensors import numpy as safetensors_numpy
from trax.layers import base

from trax_hourglass import addresses, outputs, pretrained_models
from trax_hourglass.errors import UserError, reason
from trax_hourglass.layers.checks import check_dtype
from trax_hourglass.models import arguments as arguments_lib
from trax_hourglass.models.hourglass_lm import HourglassLM, LanguageModel
from trax_hourglass.models.names import named_weights, set_named_weights

_ENTRY = 'trax_hourglass.HourglassLM'


def save_safetensors(
  model: LanguageModel, path: str | os.PathLike, dtype: str = 'float32'
) -> None:
  """Writes a model's weights and arguments to a safetensors file.

  An existing file is replaced once the new one is complete.

  Args:
    model: An initialised `HourglassLM`.
    path: The file, as a rule with the suffix `.safetensors`.
    dtype: `'bfloat16'` rounds weights, and halves the file; the model that is
      loaded has them in `'float32'` again.

  Raises:
    UserError: If `HourglassLM` did not make the model, an argument is a
      function that a file cannot name, or the file cannot be written; then no
      part of it is left.
  """
  if not isinstance(model, LanguageModel):
    raise UserError(
      f'model: got {type(model).__name__} {getattr(model, "name", "")}, '
      'expected one that HourglassLM made'
    )
  arguments = model.arguments
  del arguments['mode']
  # A file has the bytes of an array as they lie in memory.
  weights = {
    name: np.asarray(array, order='C')
    for name, array in named_weights(model).items()
  }
  check_dtype(dtype)
  content = {}
  if dtype != 'float32':
    weights = {name: x.astype(jnp.bfloat16) for name, x in weights.items()}
    content['rounded'] = True
  digest = _digest(arguments, weights)
  content |= {'arguments': arguments, 'sha256': digest}
  # Not `save_file`, whose files nobody but their owner may read.
  written = safetensors_numpy.save(
    weights, {_ENTRY: arguments_lib.to_json(content)}
  )
  with outputs.replacement(path) as file:
    file.write(written)


def load_safetensors(
  path: str | os.PathLike, mode: str = 'eval', **changes
) -> LanguageModel:
  """Returns the model in a file of `save_safetensors`, initialised.

  The file is read as data; nothing in it is run.

  Args:
    path: The file, or its address.
    mode: `'train'`, `'eval'` or `'predict'`.
    **changes: Arguments of `HourglassLM` that replace the file's, such as
      `dropout` or `max_inference_length`.

  Raises:
    UserError: If the file cannot be read, is damaged or not of this kind, or
      its weights do not fit the arguments.
  """
  path = addresses.local(path)
  arguments, weights = read(path)
  for name in changes.keys() - arguments.keys():
    raise UserError(
      f'{name}: got {changes[name]!r}, which HourglassLM does not take; leave '
      'it out'
    )
  try:
    model = HourglassLM(**{**arguments, **changes}, mode=mode)
    model.init(model.tokens_signature)
    set_named_weights(model, jax.device_put(weights))
  except (TypeError, ValueError, base.LayerError) as error:
    cause = error
    while isinstance(cause, base.LayerError) and cause.__context__:
      cause = cause.__context__
    raise UserError(f'{path}: {" ".join(str(cause).split())}') from error
  return model


def pretrained(name: str, mode: str = 'eval', **changes) -> LanguageModel:
  """Returns a trained model, initialised with its weights.

  Args:
    name: The name of a model that ships with this package, as the commands'
      `--pretrained` takes it; or a folder that `export --folder` wrote.
    mode: `'train'`, `'eval'` or `'predict'`.
    **changes: As for `load_safetensors`.

  Raises:
    UserError: If there is no such model; the line names those that ship.
  """
  path = pretrained_models.local(pretrained_models.find(name))
  return load_safetensors(path, mode, **changes)


def read(path: str) -> tuple[dict, dict[str, np.ndarray]]:
  """Returns the arguments and the weights by name in a file.

  Raises:
    UserError: If the file cannot be read, is damaged or not of this kind.
  """
  try:
    with safetensors.safe_open(path, framework='np') as file:
      text = (file.metadata() or {}).get(_ENTRY)
      if text is None:
        raise UserError(
          f'{path}: got a safetensors file of another program, expected one '
          'that trax_hourglass.export wrote'
        )
      weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
  except (OSError, safetensors.SafetensorError) as error:
    raise UserError(
      f'{path}: cannot be read as safetensors ({reason(error)}); give a file '
      'that trax_hourglass.export wrote, or export it again'
    ) from error
  try:
    content = arguments_lib.from_json(text)
    arguments = content['arguments']
    is_whole = isinstance(arguments, dict) and (
      content['sha256'] == _digest(arguments, weights)
    )
  except UserError as error:
    raise UserError(f'{path}: {error}') from error
  except (LookupError, RecursionError, TypeError, ValueError):
    is_whole = False
  if not is_whole:
    raise UserError(
      f'{path}: is damaged, its SHA-256 is not the one in its metadata; copy '
      'or export it again'
    )
  known = inspect.signature(HourglassLM).parameters.keys()
  for name in arguments.keys() - known:
    raise UserError(
      f'{path}: got an argument {name}, which this version of HourglassLM does '
      'not have; install a newer one'
    )
  if content.get('rounded'):
    weights = {name: x.astype(np.float32) for name, x in weights.items()}
  return arguments, weights


def _digest(arguments, weights):
  digest = hashlib.sha256(arguments_lib.to_json(arguments).encode())
  for name in sorted(weights):
    array = weights[name]
    digest.update(f'{name} {array.dtype} {array.shape}'.encode())
    digest.update(array.tobytes())
  return digest.hexdigest()
