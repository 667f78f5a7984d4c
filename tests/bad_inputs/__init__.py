"""Users' mistakes, and parts of the line in which a command reports each.

A case adds arguments to the usual ones of a command (see `USUAL`). `$NAME`
stands for a path that `bad_places` makes.
"""

from tests.bad_inputs import (
  arguments,
  checkpoints,
  data,
  devices,
  environment,
  gin_files,
  processes,
)
from tests.bad_inputs.cases import USUAL as USUAL

CASES = [
  *arguments.CASES,
  *gin_files.CASES,
  *data.CASES,
  *checkpoints.CASES,
  *devices.CASES,
  *environment.CASES,
]

# Each in a process of its own: what can only be seen there, where it can.
PROCESSES = processes.CASES
