"""Pictures of results."""

from collections.abc import Collection, Mapping, Sequence
import statistics

from matplotlib import figure, ticker

from trax_hourglass.lab.benchmarks import report
from trax_hourglass.lab.reproduction import analysis, curves, results
from trax_hourglass.lab.reproduction.claims import Row
from trax_hourglass.lab.reproduction.studies import EXPERIMENTS

OPERATIONS, SECONDS = 'operations', 'seconds'  # Kinds of cost.


def bits(
  panels: Mapping[str, Sequence[dict]],
  variants: Mapping[str, Sequence[str]],
  baselines: Mapping[str, Collection[str]],
  title: str,
  path: str,
) -> None:
  """Draws the bits of each run: a panel per experiment, a row per variant.

  Args:
    panels: The records of each experiment.
    variants: The variants to show of each.
    baselines: The variants whose runs are shown as a band.
    title: The picture's title.
    path: Where to write the picture.
  """
  rows = max(len(variants[name]) for name in panels)
  picture = figure.Figure(
    figsize=(5.2 * len(panels), 1.5 + 0.4 * rows), layout='constrained'
  )
  grid = picture.subplots(1, len(panels), squeeze=False)
  for axes, (name, records) in zip(grid[0], panels.items(), strict=True):
    for place, variant in enumerate(variants[name]):
      values = results.values(records, variant)
      axes.plot(values, [place] * len(values), 'o', color='C0', alpha=0.5)
      if values:
        axes.plot(statistics.fmean(values), place, '|', color='C0', ms=16)
      if values and variant in baselines[name]:
        axes.axvspan(min(values), max(values), color='C1', alpha=0.2)
    axes.set_yticks(range(len(variants[name])), variants[name])
    axes.set_ylim(len(variants[name]) - 0.5, -0.5)
    axes.set_xlabel(f'{EXPERIMENTS[name].unit}, {name}')
    axes.grid(axis='x', alpha=0.3)
  picture.suptitle(
    f"{title}\neach run, mean, and the range of the baseline's runs",
    fontsize='medium',
  )
  report.save(picture, path)


def cost_against_quality(
  records: Sequence[dict],
  families: Mapping[str, Sequence[Row]],
  costs: Mapping[str, Mapping[str, float]],
  path: str,
) -> None:
  """Draws bits over cost, and the lines fitted to all seeds (Figure 1).

  Args:
    records: Records of the runs.
    families: The variants of each kind of model.
    costs: For each kind of cost, the cost of a step of each variant.
    path: Where to write the picture.
  """
  picture = figure.Figure(
    figsize=(max(6, 5 * len(costs)), 4.6), layout='constrained'
  )
  grid = picture.subplots(1, len(costs), sharey=True, squeeze=False)
  for axes, (kind, cost) in zip(grid[0], costs.items(), strict=True):
    for i, (family, rows) in enumerate(families.items()):
      color = f'C{i}'
      x, y = [], []
      for row in rows:
        values = results.values(records, row.variant)
        place = cost[row.variant]
        x += [place] * len(values)
        y += values
        axes.plot([place] * 2, [min(values), max(values)], color=color)
        axes.annotate(
          row.label or row.variant,
          (place, max(values)),
          xytext=(0, 5),
          textcoords='offset points',
          ha='center',
          rotation=90,
          fontsize='xx-small',
          color=color,
        )
      axes.plot(x, y, 'o', color=color, ms=4, label=family)
      if len(set(x)) > 1:
        line = analysis.fit(x, y)
        axes.plot(
          line.costs,
          [line.at(c) for c in line.costs],
          color=color,
          alpha=0.5,
          linestyle='--',
        )
    _scale_cost(axes, f'{kind} of a step', 's' if kind == SECONDS else '')
    axes.margins(x=0.12)
    axes.grid(alpha=0.3)
    axes.legend(fontsize='x-small')
  shown = [
    value
    for rows in families.values()
    for row in rows
    for value in results.values(records, row.variant)
  ]
  low, high = min(shown), max(shown)
  height = max(high - low, 0.01)
  # Room for the names above the points.
  picture.axes[0].set_ylim(low - 0.08 * height, high + 0.28 * height)
  picture.axes[0].set_ylabel('bits per byte, validation')
  report.save(picture, path)


def gaps(
  series: Mapping[str, Sequence[curves.Gap]],
  bytes_per_step: int,
  early: tuple[float, Sequence[float]] | None,
  path: str,
) -> None:
  """Draws gaps over the bytes seen, seeds as a band.

  Args:
    series: Gaps at each evaluation, by label.
    bytes_per_step: Bytes that a model sees in a step.
    early: Bytes seen and gaps of models early in training.
    path: Where to write it.
  """
  picture = figure.Figure(figsize=(8, 4.6), layout='constrained')
  axes = picture.subplots()
  for i, (label, found) in enumerate(series.items()):
    found = [gap for gap in found if gap.step > 1]  # 1 is before any learning.
    x = [gap.step * bytes_per_step for gap in found]
    n = max((len(gap.per_seed) for gap in found), default=0)
    seeds = 'mean and range of 3 seeds' if n == 3 else f'{n} of 3 seeds'
    axes.plot(
      x, [gap.mean for gap in found], color=f'C{i}', label=f'{label}, {seeds}'
    )
    axes.fill_between(
      x,
      [min(gap.per_seed) for gap in found],
      [max(gap.per_seed) for gap in found],
      color=f'C{i}',
      alpha=0.2,
      linewidth=0,
    )
  if early:
    x, values = early
    axes.plot([x] * 2, [min(values), max(values)], color='0.3')
    axes.plot(
      x,
      statistics.fmean(values),
      'o',
      color='0.3',
      label='early in training: d_model 64, at equal operations, 3 seeds',
    )
  axes.axhline(0, color='black', linewidth=0.8)
  for y, words in ((0.97, 'Hourglass ahead'), (0.03, 'Transformer-XL ahead')):
    axes.text(
      0.99,
      y,
      words,
      transform=axes.transAxes,
      ha='right',
      va='top' if y > 0.5 else 'bottom',
      fontsize='small',
      style='italic',
    )
  low, high = axes.get_ylim()
  axes.set_ylim(min(low, -0.01), max(high, 0.02))
  axes.set(xscale='log', xlabel='bytes seen')
  axes.set_ylabel('bits per byte that the Hourglass takes fewer')
  axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 3, 5, 7)))
  axes.xaxis.set_major_formatter(ticker.EngFormatter('B'))
  axes.minorticks_off()
  axes.grid(alpha=0.3)
  picture.legend(fontsize='x-small', loc='outside lower center', ncols=2)
  report.save(picture, path)


def _scale_cost(axes, label, unit):
  """Gives an axis of costs a logarithmic scale with readable numbers."""
  axes.set(xscale='log', xlabel=label)
  axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 3, 5, 7)))
  axes.xaxis.set_major_formatter(ticker.EngFormatter(unit))
  axes.minorticks_off()


def lengths(costs: Sequence[dict], records: Sequence[dict], path: str) -> None:
  """Draws memory and step time over length, and bits over both (Figures 6, 7).

  Args:
    costs: Each with a model, length, memory and seconds.
    records: Records of runs, each with a model, length and bits.
    path: Where to write the picture.
  """
  models = list(dict.fromkeys(cost['model'] for cost in costs))
  figures = {
    ('MiB of a step', ''): lambda cost: cost['memory'] / report.MIB,
    ('seconds of a step', 's'): lambda cost: statistics.median(cost['seconds']),
  }
  picture = figure.Figure(figsize=(10, 7.5), layout='constrained')
  grid = picture.subplots(2, len(figures))
  for (above, below), ((label, unit), value) in zip(
    grid.T, figures.items(), strict=True
  ):
    for i, model in enumerate(models):
      its_costs = [cost for cost in costs if cost['model'] == model]
      style = {'color': f'C{i}', 'label': model}
      above.plot(
        [cost['length'] for cost in its_costs],
        list(map(value, its_costs)),
        marker='o',
        **style,
      )
      for length, marker in ((512, 'o'), (2048, 's')):
        by_length = {cost['length']: value(cost) for cost in its_costs}
        y = [
          r['bits']
          for r in records
          if (r['model'], r['length']) == (model, length)
        ]
        if y and length in by_length:
          x = [by_length[length]] * len(y)
          below.plot(x, y, marker, color=f'C{i}', alpha=0.6)
    above.set(xscale='log', yscale='log', xlabel='length', ylabel=label)
    above.set_xticks(sorted({cost['length'] for cost in costs}))
    above.xaxis.set_major_formatter('{x:.0f}')
    above.minorticks_off()
    _scale_cost(below, label, unit)
    below.set_ylabel('bits per byte, validation')
    for axes in (above, below):
      axes.grid(alpha=0.3)
    above.legend(fontsize='x-small')
  picture.suptitle(
    'Steps at batch 1; bits of runs at length 512 (circles) and 2048 (squares)',
    fontsize='medium',
  )
  report.save(picture, path)


def accuracy(
  records: Sequence[dict], bounds: Mapping[str, float], path: str
) -> None:
  """Draws the accuracy of each variant beside its bound (App. A.1).

  Args:
    records: Records of runs.
    bounds: The highest possible accuracy of each variant.
    path: Where to write the picture.
  """
  picture = figure.Figure(figsize=(7, 2.8), layout='constrained')
  axes = picture.subplots()
  for place, (variant, bound) in enumerate(bounds.items()):
    values = results.values(records, variant, 'accuracy')
    axes.plot(values, [place] * len(values), 'o', color='C0', alpha=0.5)
    axes.plot([bound] * 2, [place - 0.3, place + 0.3], color='C3')
  axes.set_yticks(range(len(bounds)), list(bounds))
  axes.invert_yaxis()
  axes.set(
    xlim=(0.3, 0.75),
    xlabel='accuracy on chunks L#L: runs (dots), the most possible (line)',
  )
  axes.grid(axis='x', alpha=0.3)
  report.save(picture, path)


def operations(records: Sequence[dict], path: str) -> None:
  """Draws a level's operations over its shorten factor (Section 3.1)."""
  picture = figure.Figure(figsize=(6.5, 4.2), layout='constrained')
  axes = picture.subplots()
  for name in dict.fromkeys(record['variant'] for record in records):
    points = [
      (r['setting'], r['operations']) for r in records if r['variant'] == name
    ]
    k, counts = zip(*points, strict=True)
    p = analysis.exponent(k, counts)
    axes.plot(k, counts, marker='o', label=f'{name}: k^-{p:.2f}')
  axes.set(xscale='log', yscale='log', xlabel='shorten factor k')
  axes.set_ylabel('operations of a level')
  axes.set_xticks(k, map(str, k))
  axes.minorticks_off()
  axes.grid(alpha=0.3, which='both')
  axes.legend()
  report.save(picture, path)
