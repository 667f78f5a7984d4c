"""Checkpoints: written whole, found, and read as data."""

from trax_hourglass.training.checkpoints.find import find_checkpoint
from trax_hourglass.training.checkpoints.load import (
  load_checkpoint,
  load_weights,
)

__all__ = ['find_checkpoint', 'load_checkpoint', 'load_weights']
