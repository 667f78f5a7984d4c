"""The commands as functions, for the doors, notebooks and the lab.

Each binds gin anew, as its keyword arguments say: see `reading.Configuration`.
"""

from trax_hourglass.commands.evaluation import evaluate
from trax_hourglass.commands.exporting import export
from trax_hourglass.commands.generation import (
  CompletedImages,
  Draw,
  complete_images,
  continue_prompts,
  generate_text,
)
from trax_hourglass.commands.training import Run, train
