"""Learning curves: bits over training steps, as points and as a picture."""

import math

from trax.supervised import history as trax_history

from trax_hourglass.layers.metrics import Measure, nats_to_bits

Curve = list[tuple[int, float]]


def curves(
  history: trax_history.History, measure: Measure | None = None
) -> dict[str, Curve]:
  """Returns (step, bits) of 'train' and 'validation', if they have a point.

  A point of 'train' is the mean since the previous evaluation.

  Args:
    history: The history of a loop.
    measure: What the bits are counted over, bytes by default.
  """
  metric = (measure or Measure()).metric
  found = {
    'train': _in_bits(history, 'train'),
    'validation': (
      _points(history, 'eval', f'metrics/{metric}') or _in_bits(history, 'eval')
    ),
  }
  return {name: curve for name, curve in found.items() if curve}


def plot(
  history: trax_history.History, path: str, measure: Measure | None = None
) -> None:
  """Writes a PNG of bits over training steps to `path`.

  Arguments are those of `curves`.
  """
  from matplotlib import figure  # Slow to import.

  measure = measure or Measure()
  picture = figure.Figure(figsize=(6, 4), layout='constrained')
  axes = picture.add_subplot(
    xlabel='training steps', ylabel=measure.unit, title='Learning curve'
  )
  remarks = filter(None, (measure.source, measure.note))
  picture.suptitle('\n'.join(remarks), fontsize='small')
  for name, curve in curves(history, measure).items():
    steps, values = zip(*curve, strict=True)
    last = 'n/a' if math.isnan(values[-1]) else f'{values[-1]:.3f}'
    axes.plot(steps, values, marker='.', label=f'{name}, {last}')
  axes.grid(alpha=0.3)
  if axes.lines:
    axes.legend()
  picture.savefig(path, format='png', dpi=150)


def _in_bits(history, mode):
  """Returns the curve of the loss in bits, under any name of the loss."""
  names = [
    name
    for name in history.metrics_for_mode(mode)
    if name == 'metrics/loss'
    or (mode == 'train' and name.startswith('metrics/'))
  ]
  return [
    (step, nats_to_bits(nats))
    for name in names[:1]
    for step, nats in _points(history, mode, name)
  ]


def _points(history, mode, name):
  return [(step, float(value)) for step, value in history.get(mode, name)]
