"""The rows of the paper's Table 1: our memory and time beside the paper's."""

from collections.abc import Callable, Sequence
import gc
import statistics
import sys
from typing import NamedTuple

import jax
from matplotlib import figure
import tqdm

from trax_hourglass.configuration import explain, reading, values
from trax_hourglass.configuration.overrides import Overrides
from trax_hourglass.lab.benchmarks import device, operations, report
from trax_hourglass.lab.benchmarks.steps import (
  Program,
  compiled_anew,
  take_turns,
  training_step,
)


class Row(NamedTuple):
  """A row of the paper: bits per byte of validation, on four Titan V."""

  hierarchy: str
  bits: float
  gigabytes: float
  steps_per_second: float


# From the paper, arXiv:2110.13711, Table 1.
ROWS = (
  Row('6@1', 1.182, 4.53, 0.95),
  Row('2@1 1@3 2@1', 1.163, 4.41, 1.11),
  Row('2@1 4@4 2@1', 1.143, 4.41, 1.10),
  Row('8@1', 1.151, 5.75, 0.73),
  Row('2@1 4@3 2@1', 1.128, 4.88, 1.00),
  Row('2@1 8@4 2@1', 1.128, 4.98, 0.99),
  Row('2@1 1@2 4@4 1@2 2@1', 1.115, 4.69, 0.86),
  Row('2@1 8@3 2@1', 1.111, 5.50, 0.88),
  Row('10@1', 1.128, 6.99, 0.56),
  Row('3@1 8@4 3@1', 1.109, 6.14, 0.76),
  Row('12@1', 1.115, 8.12, 0.47),
  Row('4@1 8@4 4@1', 1.098, 7.20, 0.62),
  Row('2@1 16@3 2@1', 1.096, 5.89, 0.71),
  Row('14@1', 1.102, 9.35, 0.40),
  Row('5@1 8@2 5@1', 1.079, 9.57, 0.45),
)
BASELINE = '12@1'
# Models, weights and slots of Adam, in memory at a time, with the baseline.
_GROUP = 5


def file_name(hierarchy: str) -> str:
  """Returns the name of a row's gin file."""
  return f'table1/{hierarchy.replace("@", "x").replace(" ", "_")}.gin'


def benchmark(
  *, batch_size: int = 1, repeats: int = 5, config: Sequence[str] | None = None
) -> dict:
  """Measures training steps of all rows, and prints a table.

  Args:
    batch_size: Sequences in a batch.
    repeats: How often each step is timed.
    config: Bindings that override those of all rows' gin files.

  Returns:
    Everything measured, for JSON.
  """
  peak, lengths = operations.printed_peak(), set()

  def program(hierarchy):
    configure(hierarchy, config)
    model = values.value('train.model')
    length = values.value('trax_hourglass.text_inputs.length')
    lengths.add(length)
    with explain.config_errors():
      return Program(
        training_step, lambda mode: model(mode=mode), length, batch_size
      )

  with compiled_anew():
    measured = measure(program, repeats)
  title = (
    f'Table 1: training steps, length {"/".join(map(str, lengths))}, batch '
    f'{batch_size}, {jax.devices()[0].device_kind}'
  )
  print(f'\n{title}\n{table(measured)}')
  print(
    "ours: arguments (weights, Adam's slots) and temporaries of the compiled "
    'step; the paper: batch 8 on four Titan V'
  )
  return {
    'device': device.name(),
    'peak': peak,
    'settings': {'lengths': sorted(lengths), 'batch_size': batch_size},
    'title': title,
    'models': measured,
  }


def configure(hierarchy: str, config: Sequence[str] | None) -> Overrides:
  """Binds the gin file of a row; returns the bindings of `config`."""
  return reading.configure(config_file=file_name(hierarchy), config=config)


def measure(build: Callable, repeats: int) -> dict[str, dict]:
  """Returns the facts and seconds of each row's step, by hierarchy.

  Rows take turns in groups, and the baseline takes its turn in each: `'ratios'`
  are of steps in turn.

  Args:
    build: Function from a hierarchy to its training step, a `Program`.
    repeats: Steps of each that are timed.
  """
  others = [row.hierarchy for row in ROWS if row.hierarchy != BASELINE]
  progress = tqdm.tqdm(
    total=len(others), leave=False, disable=not sys.stderr.isatty()
  )
  baseline = build(BASELINE)
  measured = {BASELINE: {'seconds': [], 'ratios': [1.0]}}
  with progress:
    for i in range(0, len(others), _GROUP):
      group = _measure_group(baseline, build, others[i : i + _GROUP], repeats)
      measured[BASELINE]['seconds'] += group.pop(BASELINE)
      measured.update(group)
      progress.update(len(group))
      gc.collect()  # Layers are in cycles, and with them weights.
  measured[BASELINE].update(baseline.facts)
  return {row.hierarchy: measured[row.hierarchy] for row in ROWS}


def table(measured: dict[str, dict]) -> str:
  """Returns a table of our figures, with the paper's beside them."""
  header = (
    'ours:',
    'weights',
    'MiB',
    f'of {BASELINE}',
    'steps/s',
    f'time of {BASELINE}',
    '| paper: BPC',
    'GB',
    f'of {BASELINE}',
    'steps/s',
    f'time of {BASELINE}',
  )
  memory, time = _relative(measured)
  paper_memory, paper_time = _relative_in_paper()
  rows = [
    (
      row.hierarchy,
      f'{measured[row.hierarchy]["weights"] / 1e6:.3g}M',
      f'{measured[row.hierarchy]["total_memory"] / report.MIB:.0f}',
      f'{memory[row.hierarchy]:.2f}',
      f'{1 / statistics.median(measured[row.hierarchy]["seconds"]):.3g}',
      report.spread(time[row.hierarchy]),
      f'| {row.bits:.3f}',
      f'{row.gigabytes:.2f}',
      f'{paper_memory[row.hierarchy]:.2f}',
      f'{row.steps_per_second:.2f}',
      f'{paper_time[row.hierarchy]:.2f}',
    )
    for row in ROWS
  ]
  return report.table(rows, header)


def plot(results: dict, path: str) -> None:
  """Writes a picture of memory and time, as multiples of the baseline's."""
  memory, time = _relative(results['models'])
  time = {name: statistics.median(ratios) for name, ratios in time.items()}
  paper_memory, paper_time = _relative_in_paper()
  panels = {
    f'memory, of {BASELINE}': (memory, paper_memory),
    f'time of a step, of {BASELINE}': (time, paper_time),
  }
  picture = figure.Figure(figsize=(8, 6.5), layout='constrained')
  for axes, (label, sides) in zip(
    picture.subplots(1, len(panels), sharey=True), panels.items(), strict=True
  ):
    for i, (side, ratios) in enumerate(
      zip(('measured here', 'from the paper'), sides, strict=True)
    ):
      places = [place + 0.4 * (i - 0.5) for place in range(len(ROWS))]
      axes.barh(places, list(ratios.values()), height=0.4, label=side)
    axes.axvline(1, color='black', linewidth=0.8)
    axes.set_xlabel(label)
    axes.grid(axis='x', alpha=0.3)
  axes.set_yticks(range(len(ROWS)), [row.hierarchy for row in ROWS])
  axes.invert_yaxis()  # Of both panels.
  picture.legend(
    *axes.get_legend_handles_labels(), loc='outside lower center', ncols=2
  )
  picture.suptitle(results['title'], fontsize='medium')
  report.save(picture, path)


def _measure_group(baseline, build, hierarchies, repeats):
  """Returns facts by hierarchy, and the seconds of the baseline."""
  programs = {BASELINE: baseline}
  programs.update((name, build(name)) for name in hierarchies)
  seconds = take_turns(programs, repeats)
  return {BASELINE: seconds[BASELINE]} | {
    name: {
      **programs[name].facts,
      'seconds': seconds[name],
      'ratios': [
        ours / theirs
        for ours, theirs in zip(seconds[name], seconds[BASELINE], strict=True)
      ],
    }
    for name in hierarchies
  }


def _relative(measured):
  """Returns memory and times as multiples of the baseline's, by hierarchy."""
  baseline_memory = measured[BASELINE]['total_memory']
  memory = {
    name: facts['total_memory'] / baseline_memory
    for name, facts in measured.items()
  }
  return memory, {name: facts['ratios'] for name, facts in measured.items()}


def _relative_in_paper():
  [baseline] = [row for row in ROWS if row.hierarchy == BASELINE]
  memory = {row.hierarchy: row.gigabytes / baseline.gigabytes for row in ROWS}
  time = {
    row.hierarchy: baseline.steps_per_second / row.steps_per_second
    for row in ROWS
  }
  return memory, time
