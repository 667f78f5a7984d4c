"""Addresses, folders and variables of the environment."""

from tests.bad_inputs.cases import Case

CASES = [
  Case('train', '--output_dir=gs://a/b', 'gs://a/b', 'use a local folder'),
  Case('benchmark', '--output_dir=gs://a', 'got gs://a', 'use a local folder'),
  Case('reproduce', '--output_dir=gs://a', 'got gs://a', 'use a local folder'),
  Case(
    'generate',
    ('--checkpoint=$image_run', '--output_dir=gs://a'),
    '--output_dir: got gs://a',
    'use a local folder',
  ),
  Case('export', '--file=gs://a', 'got gs://a', 'use a local folder'),
  Case('plot_schedule', '--output=gs://a', 'got gs://a', 'use a local folder'),
  Case('evaluate', '--html=gs://a', 'got gs://a', 'use a local folder'),
  Case(
    'evaluate',
    '--checkpoint=moon://a/run',
    'moon://a/run: cannot be',
    'check the address',
  ),
  Case(
    'generate',
    '--prompt_file=memory://none',
    'memory://none: there is no such file',
    'check the address',
  ),
  Case(
    'train',
    "trax_hourglass.text_file.path = 'memory://none'",
    'memory://none: there is no such file',
    'check the address',
  ),
  Case('train', '--output_dir=$text', 'cannot write to $text', 'give another'),
  Case(
    'train', '--output_dir=$text/run', 'cannot write to $text/run', 'give an'
  ),
  Case('train', '--output_dir=/proc', 'cannot write to /proc', 'give another'),
  Case('train', '--output_dir=$dangling', 'cannot write to', 'give another'),
  Case('train', '--output_dir=$occupied', 'train is a file', 'take it away'),
  Case('train', '--output_dir=$lock_folder', 'Is a directory', 'take it away'),
  Case(
    'benchmark', '--output_dir=$text', 'cannot write to $text', 'give anoth'
  ),
  Case(
    'benchmark', '--output_dir=/proc/x', 'cannot write to /proc', 'give ano'
  ),
  Case(
    'reproduce', '--output_dir=$text', 'cannot write to $text', 'give anoth'
  ),
  Case(
    'generate',
    ('--checkpoint=$image_run', '--output_dir=$text'),
    'cannot write to $text',
    'give another',
  ),
  Case(
    'train',
    (),
    "SLURM_STEP_NUM_TASKS: got 'two' in the environment",
    'unset it',
    environment={'SLURM_STEP_NUM_TASKS': 'two'},
  ),
  Case(
    'evaluate',
    (),
    "OMPI_COMM_WORLD_SIZE: got '-2' in the environment",
    'expected a number of processes',
    environment={'OMPI_COMM_WORLD_SIZE': '-2'},
  ),
]
