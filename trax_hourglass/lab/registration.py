"""Functions that the lab's gin files can name, as `trax_hourglass.NAME`."""

import gin

from trax_hourglass.lab.reproduction import costs, experiments

MODULE = 'trax_hourglass'


def register() -> None:
  """Registers them with gin; called when a gin file first names one."""
  gin.register(module=MODULE)(costs.level_operations)
  gin.register('reproduce', module=MODULE)(experiments.Variants)
