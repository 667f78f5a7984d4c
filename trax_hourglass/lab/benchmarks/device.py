"""The name of the CPU or accelerator that a measurement was made on."""

import os
import platform

import jax

# Instruction sets, by their names in `/proc/cpuinfo`.
_INSTRUCTIONS = {
  'avx2': 'AVX2',
  'avx512f': 'AVX-512',
  'amx_tile': 'AMX',
  'asimd': 'NEON',
  'sve': 'SVE',
}


def name() -> str:
  """Returns the name of JAX's device; of a CPU, that of `cpu`."""
  device = jax.devices()[0]
  return cpu() if device.platform == 'cpu' else device.device_kind


def cpu(path: str = '/proc/cpuinfo') -> str:
  """Returns model, vector instructions, threads per core and number of CPUs.

  Where there is no `path`, model and number alone.
  """
  try:
    with open(path) as file:
      lines = [line.partition(':') for line in file]
  except OSError:  # Not Linux.
    lines = []
  facts = {name.strip(): value.strip() for name, _, value in lines}
  known = facts.get('flags', facts.get('Features', '')).split()
  parts = [facts.get('model name') or platform.processor() or 'unknown CPU']
  parts += [name for flag, name in _INSTRUCTIONS.items() if flag in known]
  if 'siblings' in facts:
    n_threads = int(facts['siblings']) // int(facts['cpu cores'])
    parts.append(f'threads per core: {n_threads}')
  return ', '.join([*parts, f'CPUs: {os.cpu_count()}'])
