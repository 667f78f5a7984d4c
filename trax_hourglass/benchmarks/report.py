"""Tables and pictures of what was measured."""

import statistics

from matplotlib import figure
import tensorflow as tf

from trax_hourglass.benchmarks.contenders import THEIRS

_MIB = 2**20
_GIGA = 1e9


def table(run: dict, peak: float) -> str:
  """Returns what was measured of each model, and its share of the peak.

  Args:
    run: Facts and seconds of each model, by name.
    peak: Operations per second of the machine's matrix products.
  """
  rows = [
    (
      '',
      'weights',
      'first step',
      'step: median (min-max)',
      f'of {THEIRS}',
      'memory',
      'products',
      'of peak',
    )
  ]
  for name, facts in run.items():
    seconds = facts['step']
    rate = facts['product_operations'] / statistics.median(seconds)
    rows.append(
      (
        name,
        f'{facts["weights"] / 1e6:.1f}M',
        f'{facts["to_end_of_first_step"]:.1f} s',
        f'{statistics.median(seconds):.2f} s '
        f'({min(seconds):.2f}-{max(seconds):.2f})',
        _ratios(run, name),
        f'{facts["temporary_memory"] / _MIB:.0f} MiB',
        f'{facts["product_operations"] / _GIGA:.0f} G',
        f'{rate / peak:.0%}',
      )
    )
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return '\n'.join(
    '  '.join(cell.ljust(n) for cell, n in zip(row, widths, strict=True))
    for row in rows
  )


def _ratios(run, name):
  """Returns the median and range of the ratios of steps taken in turn."""
  if THEIRS not in run:
    return '-'
  ratios = [
    ours / theirs
    for ours, theirs in zip(run[name]['step'], run[THEIRS]['step'], strict=True)
  ]
  return (
    f'{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})'
  )


def plot(results: dict, path: str) -> None:
  """Writes a picture of all runs to `path`."""
  picture = figure.Figure(figsize=(8, 4), layout='constrained')
  panels = {
    'step, seconds': lambda facts: statistics.median(facts['step']),
    'temporary memory, MiB': lambda facts: facts['temporary_memory'] / _MIB,
    'to the end of the first step, seconds': lambda facts: facts[
      'to_end_of_first_step'
    ],
  }
  for axes, (title, value) in zip(
    picture.subplots(1, len(panels), sharey=True), panels.items(), strict=True
  ):
    bars = {
      f'{name}\ndropout {run["dropout"]}': value(facts)
      for run in results['runs']
      for name, facts in run['models'].items()
    }
    axes.barh(list(bars), list(bars.values()))
    axes.set_xlabel(title, fontsize='small')
    axes.tick_params(labelsize='x-small')
    axes.grid(axis='x', alpha=0.3)
  axes.invert_yaxis()  # Of all panels.
  settings = results['settings']
  picture.suptitle(
    f'{settings["hierarchy"]}, length {settings["length"]}, batch '
    f'{settings["batch_size"]}, d_model {settings["d_model"]}',
    fontsize='small',
  )
  with tf.io.gfile.GFile(path, 'wb') as f:
    picture.savefig(f, format='png', dpi=150)
