"""A mistake of each command, to be seen in a process of its own."""

from tests.bad_inputs.cases import Case

CASES = [
  Case(
    'train',
    (),
    "devices: Unable to initialize backend 'gpux'",
    'name one of this machine, such as cpu',
    environment={'JAX_PLATFORMS': 'gpux'},
  ),
  Case(
    'evaluate',
    (),
    'hosts: coordinator_address should be defined',
    'start all of them with it, or with --coordinator_address',
    environment={'SLURM_STEP_NUM_TASKS': '2'},
  ),
  Case(
    'generate', '--checkpoint=$none', '$none does not exist', 'give a *.pkl'
  ),
  Case('export', '--checkpoint=$none', '$none does not exist', 'give a *.pkl'),
  Case(
    'benchmark', '--output_dir=$text', 'cannot write to $text', 'give anoth'
  ),
  Case(
    'memory',
    '--devices=3',
    'batch_size: got 2',
    'expected a multiple of the 3 devices, such as 3',
  ),
  Case(
    'plot_schedule',
    '--config_file=nothing.gin',
    'Unable to open file: nothing.gin',
    'such as quickstart.gin',
  ),
  Case('reproduce', '--study=table99', "got 'table99'", 'expected some of'),
]
