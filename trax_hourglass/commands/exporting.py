"""Trained models in files for other programs."""

import itertools
import os
from typing import Unpack

from trax_hourglass import addresses, outputs, pretrained_models
from trax_hourglass.configuration import (
  bindings,
  directories,
  explain,
  operative,
  trained,
)
from trax_hourglass.errors import UserError
from trax_hourglass.models import HourglassLM, save_safetensors
from trax_hourglass.training.checkpoints import find, folders, load


def export(
  checkpoint: str | None = None,
  file: str | os.PathLike | None = None,
  *,
  folder: str | os.PathLike | None = None,
  dtype: str = 'float32',
  **configuration: Unpack[trained.Configuration],
) -> str:
  """Writes a trained `HourglassLM` to a file that `load_safetensors` reads.

  Names checkpoint and configuration on standard error.

  Args:
    checkpoint: A *.pkl.gz file, or a directory: its newest; or `pretrained`.
    file: As for `save_safetensors`.
    folder: In place of `file`, where to write it as `model.safetensors`, and
      its configuration as `config.gin`: together what `pretrained` takes.
    dtype: As for `save_safetensors`.
    **configuration: As for `trained.configure`.

  Returns:
    The path of the file.

  Raises:
    UserError: At a user's mistake.
  """
  source = trained.configure(checkpoint, **configuration)
  with explain.config_errors():
    model = HourglassLM(**bindings.model_arguments(), mode='eval')
    load.set_weights(model, source.checkpoint, model.tokens_signature)
    if folder is None:
      save_safetensors(model, file, dtype)
    else:
      text = _header(source) + operative.all_bindings()
      file = _write(model, folder, dtype, text)
  source.report()
  return os.path.expanduser(file)


def _write(model, folder, dtype, text):
  """Writes a model and its configuration; returns the model's path."""
  folder = os.path.expanduser(folder)
  if folders.stored(folder) or find.written_by_trax(folder):
    raise UserError(
      f'folder: got {folder}, where a run has a {pretrained_models.CONFIG} of '
      'its own; give another one'
    )
  config = os.path.join(folder, pretrained_models.CONFIG)
  with (
    directories.writable(folder, 'folder'),
    outputs.replacement(config) as config_file,
  ):
    config_file.write(text.encode())
    path = os.path.join(folder, pretrained_models.WEIGHTS)
    save_safetensors(model, path, dtype)
  return path


def _header(source):
  """Returns the comment at the top of a run's configuration.

  The directory of the run, a path on one machine, is left out.
  """
  if len(source.config_files) != 1:
    return ''
  with open(addresses.local(source.config_files[0]), encoding='utf-8') as file:
    lines = itertools.takewhile(lambda line: line.startswith('#'), file)
    kept = [line for line in lines if not line.startswith('# directory:')]
  return ''.join([*kept, '\n'])
