"""An accelerator: both ways to compute our attention, and other models.

Steps at three lengths, all of as many tokens, in float32 and bfloat16; then
tokens of a decoder. What is most telling comes first, as the time is limited.
"""

from collections.abc import Callable
import contextlib
import functools
import os
import statistics
import time
from typing import NamedTuple

import jax
from matplotlib import figure
import tabulate

from trax_hourglass import hierarchy as hierarchy_lib
from trax_hourglass import layers
from trax_hourglass.errors import UserError
from trax_hourglass.lab.benchmarks import (
  device,
  generation,
  operations,
  pytorch,
  report,
)
from trax_hourglass.lab.benchmarks.contenders import (
  BASELINE,
  OURS,
  THEIRS,
  Settings,
  contenders,
)
from trax_hourglass.lab.benchmarks.steps import Program, training_step
from trax_hourglass.training import user_code

# Lengths as shares of the longest.
_SHARES = 8, 2, 1
_HEADER = 'length', 'type', 'model', 'ms: median (range)', 'tokens/s', 'MiB'


class Row(NamedTuple):
  """A measurement, and how it is started.

  Attributes:
    length: Tokens in a sequence.
    dtype: `'float32'` or `'bfloat16'`.
    name: Of the model.
    tokens: How many are computed at a time.
    start: Returns a function that computes them and returns the seconds; it may
      have `facts` and `close`.
  """

  length: int
  dtype: str
  name: str
  tokens: int
  start: Callable


def prepare() -> None:
  """Lets JAX leave memory to PyTorch; call it before JAX starts."""
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')


def benchmark(settings: Settings, *, repeats: int, minutes: float) -> dict:
  """Measures, prints each row as it is known, and at the end a table.

  Args:
    settings: Sizes of the models; the length is the longest, and the batch that
      of the longest.
    repeats: How often each is timed.
    minutes: After them nothing more is started.

  Returns:
    Everything measured, for JSON.
  """
  end = time.monotonic() + 60 * minutes
  peak = operations.printed_peak()
  results = []
  for row in _rows(settings, repeats):
    if time.monotonic() < end:
      result = _measured(row, repeats)
    else:
      result = {'remark': 'no time was left'}
    results.append(row._replace(start=None)._asdict() | result)
    print('; '.join(_cells(results[-1])), flush=True)
  results.sort(key=lambda result: result['length'])
  print(
    f'\n{device.name()}, JAX {jax.__version__}, {settings.hierarchy}, d_model '
    f'{settings.d_model}\n\n{table(results)}'
  )
  return {
    'device': device.name(),
    'peak': peak,
    'settings': settings._asdict(),
    'rows': results,
  }


def table(results: list[dict]) -> str:
  """Returns a table in Markdown."""
  return tabulate.tabulate(
    map(_cells, results), _HEADER, tablefmt='github', disable_numparse=True
  )


def _cells(result):
  cells = f'{result["length"]:,}', result['dtype'], result['name']
  if 'remark' in result:
    return *cells, result['remark'], '-', '-'
  milliseconds = [1e3 * seconds for seconds in result['seconds']]
  rate = result['tokens'] / statistics.median(result['seconds'])
  memory = result['memory']
  return (
    *cells,
    report.spread(milliseconds, '.3g'),
    f'{rate:,.0f}',
    '-' if memory is None else f'{memory / report.MIB:,.0f}',
  )


def plot(results: dict, path: str) -> None:
  """Writes a picture of tokens per second, on a logarithmic axis."""
  rows = [row for row in results['rows'] if 'seconds' in row]
  picture = figure.Figure(
    figsize=(8, 1.5 + 0.25 * len(rows)), layout='constrained'
  )
  axes = picture.add_subplot(title=results['device'], xlabel='tokens/s')
  axes.barh(
    [' '.join(_cells(row)[:3]) for row in rows],
    [row['tokens'] / statistics.median(row['seconds']) for row in rows],
  )
  axes.set_xscale('log')
  axes.invert_yaxis()
  report.save(picture, path)


def _measured(row, repeats):
  """Returns seconds and memory in bytes, or a remark on why there are none."""
  try:
    with contextlib.ExitStack() as stack:
      work = row.start()
      if hasattr(work, 'close'):
        stack.enter_context(contextlib.closing(work))
      work()  # Compiles what `start` did not.
      seconds = [work() for _ in range(repeats)]
  except Exception as e:  # Such as memory that ran out: the next may fit.
    return {'remark': user_code.describe(e)}
  facts = getattr(work, 'facts', {})
  keys = 'total_memory', 'device_memory', 'resident_memory'
  memory = next((facts[key] for key in keys if key in facts), None)
  return {'seconds': seconds, 'memory': memory}


def _rows(settings, repeats):
  """Yields all rows, the most telling first."""
  bfloat16, float32 = 'bfloat16', 'float32'
  yield from _steps(
    settings,
    _ours(bfloat16, layers.RelativeAttention, 'cudnn'),
    _ours(bfloat16, layers.RelativeAttention, 'blockwise'),
    _ours(float32, layers.RelativeAttention, 'blockwise'),
    (float32, THEIRS, _theirs),
    _pytorch(bfloat16),
    _pytorch(float32),
  )
  yield from _decoders(settings, repeats)
  yield from _steps(
    settings,
    _ours(bfloat16, layers.RotaryAttention, 'cudnn'),
    _ours(bfloat16, layers.RotaryAttention, 'blockwise'),
  )


def _steps(settings, *models):
  """Yields rows of training steps, each of as many tokens.

  A model is (type, name, function from `Settings` to the work).
  """
  for dtype, name, start in models:
    for share in _SHARES:
      sizes = settings._replace(
        length=settings.length // share, batch_size=settings.batch_size * share
      )
      tokens = sizes.length * sizes.batch_size
      yield Row(
        sizes.length, dtype, name, tokens, functools.partial(start, sizes)
      )


def _ours(dtype, attention, implementation):
  """Returns our model as (type, name, function from `Settings` to a step)."""
  attend = functools.partial(attention, implementation=implementation)
  resample = functools.partial(
    layers.AttentionResampling, implementation=implementation
  )

  def start(settings):
    ours, *_ = contenders(
      settings,
      dropout=0.0,
      activation_dtype=dtype,
      vanilla_attn_type=attend,
      middle_attn_type=attend,
      downsampling_fn=resample,
      upsampling_fn=resample,
    )
    return _step(ours, settings)

  return dtype, f'{OURS}: {attention.__name__}, {implementation}', start


def _theirs(settings):
  *_, theirs = contenders(settings, dropout=0.0)
  if theirs.model != THEIRS:
    raise UserError(f'has no {settings.hierarchy} for this length')
  return _step(theirs, settings)


def _step(contender, settings):
  return Program(
    training_step, contender.build, settings.length, settings.batch_size
  )


def _pytorch(dtype):
  """Returns PyTorch's model, as `_ours` does."""

  def start(settings):
    level = hierarchy_lib.parse(settings.hierarchy)
    absence = pytorch.why_not(level, length=settings.length, dropout=0.0)
    if absence:
      raise UserError(absence)
    return pytorch.Child(
      'step',
      level,
      length=settings.length,
      batch_size=settings.batch_size,
      d_model=settings.d_model,
      n_heads=settings.n_heads,
      dtype=dtype,
    )

  return dtype, pytorch.NAME, start


def _decoders(settings, repeats):
  """Yields rows of a token in the middle of a cache's room."""
  places = generation.Places.within(settings.length, repeats)
  sizes = {'d_model': settings.d_model, 'n_heads': settings.n_heads}

  def cached(hierarchy):
    model = generation.predicting_model(hierarchy, places.cache // 2, **sizes)
    return generation.time_tokens(model, places.middle, places, repeats)

  def recomputing():
    *_, last = contenders(settings._replace(length=places.middle), dropout=0.0)
    return generation.time_recomputing(last.build('eval'), places.middle)

  for name, start in (
    (f'{OURS}: a token', functools.partial(cached, settings.hierarchy)),
    (f'{BASELINE}: a token', functools.partial(cached, settings.baseline)),
    (f'{THEIRS}: a token by recomputing', recomputing),
  ):
    yield Row(places.middle, 'float32', name, 1, start)
