"""Trained models in files for other programs."""

import os
from typing import Unpack

from trax_hourglass.configuration import bindings, explain, reading, trained
from trax_hourglass.models import HourglassLM, save_safetensors
from trax_hourglass.training.checkpoints import load


def export(
  checkpoint: str,
  file: str | os.PathLike,
  **configuration: Unpack[reading.Configuration],
) -> None:
  """Writes a trained `HourglassLM` to a file that `load_safetensors` reads.

  Names checkpoint and configuration on standard error.

  Args:
    checkpoint: A *.pkl.gz file, or a directory: its newest.
    file: As for `save_safetensors`.
    **configuration: As for `trained.configure`.

  Raises:
    UserError: At a user's mistake.
  """
  source = trained.configure(checkpoint, **configuration)
  with explain.config_errors():
    model = HourglassLM(**bindings.model_arguments(), mode='eval')
    load.set_weights(model, source.checkpoint, model.tokens_signature)
    save_safetensors(model, file)
  source.report()
