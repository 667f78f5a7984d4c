"""Tables and pictures of what was measured."""

import math
import statistics

from matplotlib import figure
import tensorflow as tf

from trax_hourglass.lab.benchmarks.contenders import THEIRS

MIB = 2**20
GIGA = 1e9


def table(run: dict, peak: float) -> str:
  """Returns what was measured of each model, and its share of the peak.

  Args:
    run: `'what'` was measured, and of `'models'` the facts, by name.
    peak: Operations per second of the machine's matrix products.
  """
  header = (
    '',
    'weights',
    'first time',
    'programs',
    f'{run["what"]}: median (range)',
    f'of {THEIRS}',
    'memory',
    'products',
    'of peak',
  )
  return aligned(
    [header] + [_row(name, run['models'], peak) for name in run['models']]
  )


def aligned(rows: list[tuple[str, ...]]) -> str:
  """Returns rows as lines whose columns are of one width each."""
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = [
    '  '.join(cell.ljust(n) for cell, n in zip(row, widths, strict=True))
    for row in rows
  ]
  return '\n'.join(map(str.rstrip, lines))


def spread(values: list[float], form: str = '.2f') -> str:
  """Returns median and range."""
  return (
    f'{statistics.median(values):{form}} '
    f'({min(values):{form}}-{max(values):{form}})'
  )


def plot(results: dict, path: str) -> None:
  """Writes a picture of all runs to `path`."""
  labelled = {
    f'{name}\n{run["what"]}, dropout {run["dropout"]:g}': (name, facts)
    for run in results['runs']
    for name, facts in run['models'].items()
  }
  names = list(dict.fromkeys(name for name, _ in labelled.values()))
  colors = [f'C{names.index(name)}' for name, _ in labelled.values()]
  panels = {
    'seconds, median': lambda facts: statistics.median(facts['seconds']),
    'temporary memory, MiB': lambda facts: (
      facts.get('temporary_memory', math.nan) / MIB
    ),
    'first time, seconds': lambda facts: facts['to_end_of_first_step'],
  }
  picture = figure.Figure(
    figsize=(8, 1.5 + 0.4 * len(labelled)), layout='constrained'
  )
  for axes, (title, value) in zip(
    picture.subplots(1, len(panels), sharey=True), panels.items(), strict=True
  ):
    axes.barh(
      list(labelled),
      [value(facts) for _, facts in labelled.values()],
      color=colors,
    )
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
  save(picture, path)


def save(picture: figure.Figure, path: str) -> None:
  with tf.io.gfile.GFile(path, 'wb') as file:
    picture.savefig(file, format='png', dpi=150)


def _row(name, models, peak):
  facts = models[name]
  compiled = products = share = '-'
  if 'product_operations' in facts:
    compiled = f'{facts["compilations"]} + {facts["later_compilations"]}'
    memory = f'{facts["temporary_memory"] / MIB:.0f} MiB'
    products = f'{facts["product_operations"] / GIGA:.3g} G'
    rate = facts['product_operations'] / statistics.median(facts['seconds'])
    share = f'{rate / peak:.0%}'
  elif 'resident_memory' in facts:
    memory = f'{facts["resident_memory"] / MIB:.0f} MiB resident'
  else:
    memory = '-'
  return (
    name,
    f'{facts["weights"] / 1e6:.3g}M',
    f'{facts["to_end_of_first_step"]:.3g} s',
    compiled,
    f'{spread(facts["seconds"], ".3g")} s',
    _ratios(models, name),
    memory,
    products,
    share,
  )


def _ratios(models, name):
  """Returns median and range of the ratios of times in turn."""
  if THEIRS not in models:
    return '-'
  pairs = zip(models[name]['seconds'], models[THEIRS]['seconds'], strict=True)
  return spread([seconds / theirs for seconds, theirs in pairs])
