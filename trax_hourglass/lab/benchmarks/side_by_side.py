"""Our Hourglass, the authors', a Transformer-XL and the package in PyTorch."""

from collections.abc import Sequence
import contextlib
import math
import statistics
import sys

from matplotlib import figure
import tqdm

from trax_hourglass import hierarchy as hierarchy_lib
from trax_hourglass.lab.benchmarks import device, operations, pytorch, report
from trax_hourglass.lab.benchmarks.contenders import (
  THEIRS,
  Settings,
  contenders,
)
from trax_hourglass.lab.benchmarks.settings import MODELS
from trax_hourglass.lab.benchmarks.steps import (
  PARTS,
  WORKS,
  Program,
  compiled_anew,
  take_turns,
)


def benchmark(
  settings: Settings,
  *,
  what: Sequence[str] = ('step',),
  dropout: Sequence[float] = (0.0, 0.1),
  models: Sequence[str] = MODELS,
  rematerialize: bool = False,
  repeats: int = 5,
) -> dict:
  """Measures models that take turns, and prints a table for each comparison.

  Args:
    settings: Sizes of the models and of the batch.
    what: Names of `steps.WORKS`.
    dropout: Rates, each measured by itself.
    models: Names of `MODELS`.
    rematerialize: Whether ours, and the baseline, trade time for memory.
    repeats: How often each model is timed.

  Returns:
    Everything measured, for JSON.
  """
  peak = operations.printed_peak()
  runs = []
  with compiled_anew():
    for work in what:
      # Evaluation drops nothing.
      for rate in [0.0] if work == 'forward' else dropout:
        print(
          f'\n{work}, dropout {rate:g}, length {settings.length}, batch '
          f'{settings.batch_size}'
        )
        measured, remarks = _measure(
          settings, work, rate, models, rematerialize, repeats
        )
        runs.append({'what': work, 'dropout': rate, 'models': measured})
        print(f'{table(runs[-1], peak)}\n\n{first_times(measured)}')
        for name, remark in remarks.items():
          print(f'{name}: {remark}')
  return {
    'device': device.name(),
    'peak': peak,
    'settings': settings._asdict() | {'rematerialize': rematerialize},
    'runs': runs,
  }


def _measure(settings, what, dropout, models, rematerialize, repeats):
  """Returns facts and times of each model, by name, and remarks on some."""
  builds = contenders(settings, dropout=dropout, rematerialize=rematerialize)
  level = hierarchy_lib.parse(settings.hierarchy)
  absence = pytorch.why_not(level, length=settings.length, dropout=dropout)
  remarks = {pytorch.NAME: absence or pytorch.NOTE}
  if THEIRS not in {build.model for build in builds}:
    remarks[THEIRS] = f'has no {settings.hierarchy} for this length'
  remarks = {name: remarks[name] for name in remarks if name in models}
  builds = [build for build in builds if build.model in models]
  with contextlib.ExitStack() as stack:
    measured = {
      build.name: Program(
        WORKS[what], build.build, settings.length, settings.batch_size
      )
      for build in tqdm.tqdm(
        builds, 'compiling', leave=False, disable=not sys.stderr.isatty()
      )
    }
    if pytorch.NAME in models and not absence:
      child = pytorch.Child(
        what,
        level,
        length=settings.length,
        batch_size=settings.batch_size,
        d_model=settings.d_model,
        n_heads=settings.n_heads,
      )
      measured[pytorch.NAME] = stack.enter_context(contextlib.closing(child))
    seconds = take_turns(measured, repeats)
  facts = {
    name: {**measured[name].facts, 'seconds': seconds[name]}
    for name in measured
  }
  return facts, remarks


def table(run: dict, peak: float) -> str:
  """Returns a table of each model's measurements and share of the peak.

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
  models = run['models']
  return report.table([_row(name, models, peak) for name in models], header)


def first_times(models: dict) -> str:
  """Returns a table of the CPU's seconds up to the end of the first step.

  Args:
    models: The facts of each model, by name.
  """
  parts = {
    name: facts['first_time_cpu']
    for name, facts in models.items()
    if 'first_time_cpu' in facts
  }
  theirs = sum(parts.get(THEIRS, {}).values())
  rows = []
  for name, seconds in parts.items():
    total = sum(seconds.values())
    share = f'{total / theirs:.2f}' if theirs else '-'
    rows.append(
      (name, *(f'{x:.3g}' for x in (*seconds.values(), total)), share)
    )
  return report.table(
    rows, ('first time, CPU seconds', *PARTS, 'all', f'of {THEIRS}')
  )


def _row(name, models, peak):
  facts = models[name]
  compiled = products = share = memory = '-'
  if 'product_operations' in facts:
    compiled = f'{facts["compilations"]} + {facts["later_compilations"]}'
    memory = f'{facts["temporary_memory"] / report.MIB:.0f} MiB'
    products = f'{facts["product_operations"] / report.GIGA:.3g} G'
    rate = facts['product_operations'] / statistics.median(facts['seconds'])
    share = f'{rate / peak:.0%}'
  elif 'resident_memory' in facts:
    memory = f'{facts["resident_memory"] / report.MIB:.0f} MiB resident'
  return (
    name,
    f'{facts["weights"] / 1e6:.3g}M',
    f'{facts["to_end_of_first_step"]:.3g} s',
    compiled,
    f'{report.spread(facts["seconds"], ".3g")} s',
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
  return report.spread([seconds / theirs for seconds, theirs in pairs])


def plot(results: dict, path: str) -> None:
  """Writes a picture of all comparisons to `path`."""
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
      facts.get('temporary_memory', math.nan) / report.MIB
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
  report.save(picture, path)
