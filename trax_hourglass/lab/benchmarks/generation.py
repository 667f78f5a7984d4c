"""Generation with caches: the cost of a token, by place and by model."""

from collections.abc import Callable
import statistics
import time
from typing import NamedTuple

import jax
from matplotlib import figure
import numpy as np
from trax import shapes
from trax.supervised import decoding

from trax_hourglass import generation
from trax_hourglass.configuration import explain
from trax_hourglass.errors import UserError
from trax_hourglass.lab.benchmarks import device, operations, report
from trax_hourglass.lab.benchmarks.contenders import (
  THEIRS,
  VOCAB_SIZE,
  Settings,
  contenders,
)
from trax_hourglass.lab.benchmarks.steps import take_turns
from trax_hourglass.layers import AveragePooling, NaiveUpsampling
from trax_hourglass.models import HourglassLM

# Hierarchies whose caches are compared, of ours and of a Transformer-XL.
CACHED = '2@1 16@4 2@1', '20@1'
# Samplers go on where the timing before ended: this share of the longest cache
# is kept for that.
_TIMED_SHARE = 6 / 256
_TOKEN = shapes.ShapeDtype((1, 1), np.int32)


class Places(NamedTuple):
  """The positions in a sequence at which tokens are timed.

  Attributes:
    cache: Tokens in the longest cache: 8192, say.
    small_cache: Tokens in a small one: 1024.
    early: A position in both: 500.
    late: A position in the longest alone: 8000.
    middle: The position at which models are compared: 1024.
    prompt: Tokens in a prompt: 2048.
    n: Tokens that are timed together.
  """

  cache: int
  small_cache: int
  early: int
  late: int
  middle: int
  prompt: int
  n: int

  @classmethod
  def within(cls, cache: int, repeats: int) -> 'Places':
    """Returns positions in the proportions of the examples above.

    Raises:
      UserError: If the cache is too short for that many repeats.
    """
    n = max(1, int(cache * _TIMED_SHARE) // (repeats + 1))
    places = cls(
      cache=cache,
      small_cache=cache // 8,
      early=cache * 500 // 8192,
      late=cache - n * (repeats + 1),
      middle=cache // 8,
      prompt=cache // 4,
      n=n,
    )
    if places.early + n * (repeats + 1) > places.small_cache:
      raise UserError(
        f'--length: got {cache} tokens to generate, expected enough to time '
        f'{repeats} repeats; give more, or less --repeats'
      )
    return places


def benchmark(settings: Settings, *, repeats: int = 5) -> dict:
  """Times tokens and prompts, compares caches, and prints a table.

  Args:
    settings: Sizes of the models; the length is that of the longest cache.
    repeats: How often each is timed.

  Returns:
    Everything measured, for JSON.
  """
  peak = operations.printed_peak()
  places = Places.within(settings.length, repeats)
  with explain.config_errors():
    seconds = measure(settings, places, repeats)
    caches = cache_ratios(
      settings.length, d_model=settings.d_model, n_heads=settings.n_heads
    )
  title = (
    f'{settings.hierarchy} and {settings.baseline}, d_model '
    f'{settings.d_model}, caches of {places.cache}, '
    f'{jax.devices()[0].device_kind}'
  )
  shown = ', '.join(f'{name} {n}' for name, n in places._asdict().items())
  print(f'\n{title}\n{shown}\n{table(seconds, caches)}')
  return {
    'device': device.name(),
    'peak': peak,
    'settings': settings._asdict() | {'places': places._asdict()},
    'title': title,
    'seconds': seconds,
    'ratios': ratios(seconds),
    'caches': caches,
  }


def measure(
  settings: Settings, places: Places, repeats: int
) -> dict[str, list[float]]:
  """Returns the seconds of a token and of whole prompts, one for each repeat.

  Args:
    settings: Sizes of the models.
    places: Where to take time.
    repeats: How often.
  """
  hierarchy, baseline = settings.hierarchy, settings.baseline
  sizes = {'d_model': settings.d_model, 'n_heads': settings.n_heads}
  long = predicting_model(hierarchy, places.cache, **sizes)
  small, middle = (
    predicting_model(hierarchy, room, long.weights, **sizes)
    for room in (places.small_cache, places.cache // 2)
  )
  transformer = predicting_model(baseline, places.cache // 2, **sizes)
  timed = {
    'ours': time_tokens(middle, places.middle, places, repeats),
    'baseline': time_tokens(transformer, places.middle, places, repeats),
    'early': time_tokens(long, places.early, places, repeats),
    'late': time_tokens(long, places.late, places, repeats),
    'early, small cache': time_tokens(small, places.early, places, repeats),
    'prompt in one pass': _sample(middle, places.prompt, 1),
    'prompt token by token': _sample(middle, 0, places.prompt + 1),
    "Trax's sampling": _tokens_in_trax(middle, places.n),
  }
  for model in contenders(settings._replace(length=places.middle), dropout=0.0):
    if model.model == THEIRS:
      timed[THEIRS] = time_recomputing(model.build('eval'), places.middle)
  for function in timed.values():
    function()  # Compiles.
  return take_turns(timed, repeats)


def cache_bytes(hierarchy: str, room: int, **arguments) -> int:
  """Returns the bytes of a model's state in mode 'predict', batch 1."""
  model = HourglassLM(
    VOCAB_SIZE,
    hierarchy=hierarchy,
    mode='predict',
    max_inference_length=room,
    **arguments,
  )
  _, state = model.weights_and_state_signature(_TOKEN)
  return sum(
    int(np.prod(x.shape)) * np.dtype(x.dtype).itemsize
    for x in jax.tree.leaves(state)
  )


def cache_ratios(room: int, **sizes) -> dict[str, float]:
  """Returns our cache as a share of the Transformer-XL's, by resampling."""
  ours, baseline = CACHED
  baseline_bytes = cache_bytes(baseline, room, **sizes)
  resamplings = {
    'attention resampling': {},
    'average and repeat': {
      'downsampling_fn': AveragePooling,
      'upsampling_fn': NaiveUpsampling,
    },
  }
  return {
    name: cache_bytes(ours, room, **sizes, **resampling) / baseline_bytes
    for name, resampling in resamplings.items()
  }


def ratios(seconds: dict[str, list[float]]) -> dict[str, list[float]]:
  """Returns ratios of times in turn, by what they compare."""
  pairs = {
    'tokens/s, ours against full recomputation': (THEIRS, 'ours'),
    'tokens/s, ours against the baseline': ('baseline', 'ours'),
    'time per token, late against early': ('late', 'early'),
    'time per token, long cache against small': ('early', 'early, small cache'),
    'prompt, one pass against token by token': (
      'prompt token by token',
      'prompt in one pass',
    ),
    "tokens/s, our sampler against Trax's": ("Trax's sampling", 'ours'),
  }
  return {
    name: [x / y for x, y in zip(seconds[a], seconds[b], strict=True)]
    for name, (a, b) in pairs.items()
    if a in seconds
  }


def table(seconds: dict[str, list[float]], caches: dict[str, float]) -> str:
  """Returns a table of times and ratios, median and range, and of caches."""
  rows = [('', 'milliseconds: median (range)')]
  rows += [
    (name, report.spread([1e3 * x for x in times], '.3g'))
    for name, times in seconds.items()
  ]
  rows += [('', ''), ('', 'ratio: median (range)')]
  rows += [
    (name, report.spread(values, '.3g'))
    for name, values in ratios(seconds).items()
  ]
  ours, baseline = CACHED
  rows += [
    (f'cache of {ours} against {baseline}, {name}', f'{share:.3f}')
    for name, share in caches.items()
  ]
  return report.table(rows)


def plot(results: dict, path: str) -> None:
  """Writes a picture of the medians, on a logarithmic axis."""
  picture = figure.Figure(figsize=(7, 3.5), layout='constrained')
  axes = picture.add_subplot(
    title=results['title'], xlabel='milliseconds, median'
  )
  seconds = results['seconds']
  axes.barh(
    list(seconds), [1e3 * statistics.median(x) for x in seconds.values()]
  )
  axes.set_xscale('log')
  axes.invert_yaxis()
  axes.grid(axis='x', alpha=0.3)
  report.save(picture, path)


def predicting_model(hierarchy, room, weights=None, **sizes):
  """Returns an initialised model, with new weights unless some are given."""
  model = HourglassLM(
    VOCAB_SIZE,
    hierarchy=hierarchy,
    mode='predict',
    d_ff=4 * sizes['d_model'],
    max_inference_length=room,
    **sizes,
  )
  rng = model.rng
  initial = jax.jit(lambda: model.init(_TOKEN))()
  model.weights, model.state, model.rng = *initial, rng
  if weights is not None:
    model.weights = weights
  return model


def time_tokens(model, position, places, repeats) -> Callable[[], float]:
  """Returns a function that takes the seconds of a token from a place on."""
  n = places.n
  stream = generation.Sampler(model).stream(
    _random_tokens(position), n * (repeats + 1), chunk=n
  )

  def seconds_per_token():
    start = time.perf_counter()
    next(stream)
    return (time.perf_counter() - start) / n

  return seconds_per_token


def _sample(model, n_prompt, length) -> Callable[[], float]:
  """Returns a function that takes the seconds of a whole sample."""
  sampler, prompt = generation.Sampler(model), _random_tokens(n_prompt)

  def seconds():
    start = time.perf_counter()
    sampler.sample(prompt, length)
    return time.perf_counter() - start

  return seconds


def _tokens_in_trax(model, n) -> Callable[[], float]:
  """Returns a function that takes the seconds of a token of Trax's sampling."""
  stream = decoding.autoregressive_sample_stream(model)

  def seconds_per_token():
    start = time.perf_counter()
    for _ in range(n):
      next(stream)
    return (time.perf_counter() - start) / n

  return seconds_per_token


def time_recomputing(model, length) -> Callable[[], float]:
  """Returns a function that takes the seconds of a model without a cache."""
  tokens = _random_tokens(length)[None]
  rng = model.rng
  weights, state = jax.jit(lambda: model.init(shapes.signature(tokens)))()
  forward = jax.jit(lambda *args: model.pure_fn(*args, rng)[0][:, -1])

  def seconds():
    start = time.perf_counter()
    jax.block_until_ready(forward(tokens, weights, state))
    return time.perf_counter() - start

  return seconds


def _random_tokens(length):
  return np.random.default_rng(0).integers(
    VOCAB_SIZE, size=length, dtype=np.int32
  )
