"""Devices and hosts that a batch, or the machine, does not suit."""

from tests.bad_inputs.cases import FLAGS, TEXTS, WHOLE, Case

_HOSTS = ('--coordinator_address=first:1', '--num_processes=2')

CASES = [
  Case(
    'train',
    'num_devices.value = 3',
    'batch_size: got 2',
    'expected a multiple of the 3 devices, such as 3',
  ),
  Case(
    'train',
    ('num_devices.value = 3', f'{TEXTS}.batch_size = 6'),
    'num_devices: got 3',
    'expected 1, all that JAX finds here',
  ),
  Case(
    'train',
    (f'{TEXTS}.batch_size = 6', 'trax_hourglass.Loop.device_batch_size = 4'),
    'device_batch_size: got 4',
    'one of 1, 2, 3, 6',
  ),
  Case(
    'train',
    'trax_hourglass.Loop.device_batch_size = 0',
    'device_batch_size: got 0',
    WHOLE,
  ),
  Case('memory', '--devices=0', '--devices: got 0', WHOLE),
  Case('memory', '--devices=many', "'many'", FLAGS),
  Case(
    'memory',
    '--devices=4',
    'batch_size: got 2',
    'expected a multiple of the 4 devices, such as 4',
  ),
  *(
    Case(command, flags, mistake, remedy)
    for command in ('train', 'evaluate')
    for flags, mistake, remedy in (
      ('--num_processes=2', '--coordinator_address: not given', 'together'),
      (_HOSTS, '--process_id: not given', 'expected --coordinator_address'),
      (
        ('--coordinator_address=first', '--num_processes=2', '--process_id=0'),
        "--coordinator_address: got 'first'",
        'expected HOST:PORT',
      ),
      ((*_HOSTS, '--process_id=2'), '--process_id: got 2', 'from 0 to 1'),
      (
        (*_HOSTS, '--num_processes=0', '--process_id=0'),
        '--num_processes: got 0',
        WHOLE,
      ),
    )
  ),
]
