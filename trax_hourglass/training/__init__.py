"""Trax's training loop and checkpoints, without what loses a user's work."""

from trax_hourglass.training.checkpoints import find_checkpoint, load_weights
from trax_hourglass.training.loop import Loop

__all__ = ['Loop', 'find_checkpoint', 'load_weights']
