"""What users get wrong, and the line that each command says of it.

A case is a command, what is added to its usual arguments (see `USUAL`), what
the line says of the mistake, and what it says that one can do. `$NAME` stands
for a path that `bad_places` makes.
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
