"""Memory that each of several simulated devices needs for a training step."""

import jax

from trax_hourglass.lab.benchmarks import report
from trax_hourglass.training.device_memory import measure

__all__ = ['measure', 'simulate', 'table']


def simulate(n_devices: int) -> None:
  """Gives JAX that many devices; call it before JAX starts."""
  jax.config.update('jax_platforms', 'cpu')
  jax.config.update('jax_num_cpu_devices', n_devices)


def table(memory: dict[str, int], n_devices: int) -> str:
  """Returns a table of what `measure` found, and of sharing the slots out."""
  rows = [
    ('weights', memory['weights']),
    ("the optimizer's slots", memory['slots']),
    ('temporaries: activations, gradients', memory['temporaries']),
    ('in all', memory['total']),
    (
      'in all, if devices shared the slots out',
      memory['total'] - memory['slots'] * (n_devices - 1) // n_devices,
    ),
  ]
  return report.table(
    [(name, f'{size / report.MIB:,.0f} MiB') for name, size in rows]
  )
