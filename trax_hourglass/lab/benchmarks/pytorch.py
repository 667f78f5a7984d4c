"""The model of the PyPI package hourglass-transformer-pytorch.

It runs in a process of its own (`pytorch_child`), a step at a time.
"""

import contextlib
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import jax

from trax_hourglass import hierarchy as hierarchy_lib
from trax_hourglass.errors import UserError
from trax_hourglass.lab.benchmarks.contenders import VOCAB_SIZE
from trax_hourglass.lab.benchmarks.settings import PYTORCH as NAME

NOTE = (
  'learned absolute positions, pools by the mean, repeats; memory is how much '
  "its process grew, resident, or what PyTorch allocated on a GPU, not XLA's"
)
# PyTorch's names of JAX's platforms.
_DEVICES = {'cpu': 'cpu', 'gpu': 'cuda'}
CHILD = pathlib.Path(__file__).with_name('pytorch_child.py')


def installed() -> bool:
  packages = 'torch', 'hourglass_transformer_pytorch'
  return all(map(importlib.util.find_spec, packages))


def why_not(
  level: hierarchy_lib.Level, *, length: int, dropout: float
) -> str | None:
  """Returns why the package cannot take part, in one line; else `None`."""
  if not installed():
    return "not installed; the extra 'torch' of this package brings it"
  if jax.default_backend() not in _DEVICES:
    return f'runs on a CPU and a GPU, got {jax.default_backend()!r}'
  if dropout:
    return 'has no dropout'
  if _draws(level):
    return 'has no shorten factor dropout'
  if length % level.multiple:
    return f'takes multiples of {level.multiple} tokens alone'
  return None


def depth_and_factors(
  level: hierarchy_lib.Level,
) -> tuple[int | tuple, list[int]]:
  """Returns the package's arguments `depth` and `shorten_factor`."""
  if not level.inners:
    return level.n_pre, []
  [inner] = level.inners
  depth, factors = depth_and_factors(inner)
  factor = inner.total_shorten_factor // level.total_shorten_factor
  return (level.n_pre, depth, level.n_post), [factor, *factors]


class Child:
  """The package's model in a process of its own; called as a `Program` is.

  Attributes:
    facts: Its measurements by name; times in seconds, memory in bytes.
  """

  def __init__(self, what: str, level: hierarchy_lib.Level, **sizes):
    """Builds the model and lets it work once.

    Args:
      what: A name of `steps.WORKS`.
      level: The levels.
      **sizes: `length`, `batch_size`, `d_model`, `n_heads`, and `dtype` if it
        is not `'float32'`.
    """
    settings = _settings(what, level, **sizes)
    # A pipe would fill up.
    self._stderr = tempfile.TemporaryFile('w+')  # noqa: SIM115 (see `close`)
    self._process = subprocess.Popen(
      # -P: the names of modules beside the script are no business of torch.
      [sys.executable, '-P', CHILD, json.dumps(settings)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=self._stderr,
      text=True,
      # Threads that spin while they wait take a busy machine's cores from each
      # other, and those of JAX, which waits asleep.
      env={'OMP_WAIT_POLICY': 'PASSIVE', **os.environ},
    )
    try:
      self.facts = self._answer()
    except BaseException:
      self.close()
      raise

  def __call__(self) -> float:
    """Does a step and returns the seconds that it took."""
    with contextlib.suppress(BrokenPipeError):  # It died; `_answer` says why.
      print(file=self._process.stdin, flush=True)
    answer = self._answer()
    seconds = answer.pop('seconds')
    self.facts.update(answer)
    return seconds

  def close(self) -> None:
    """Ends the process."""
    self._process.kill()
    self._process.communicate()
    self._stderr.close()

  def _answer(self):
    line = self._process.stdout.readline()
    if line:
      return json.loads(line)
    code = self._process.wait()
    self._stderr.seek(0)
    lines = self._stderr.read().split('\n')
    last = next(filter(str.strip, reversed(lines)), 'it gave no reason')
    raise UserError(f'{NAME}: its process ended with {code}: {last.strip()}')


def _settings(
  what, level, *, length, batch_size, d_model, n_heads, dtype='float32'
):
  """Returns the child's settings, ready for JSON."""
  depth, factors = depth_and_factors(level)
  return {
    'what': what,
    'threads': _n_threads(),
    'device': _DEVICES[jax.default_backend()],
    'dtype': dtype,
    'batch_size': batch_size,
    'depth': depth,
    'model': {
      'num_tokens': VOCAB_SIZE,
      'dim': d_model,
      'heads': n_heads,
      'dim_head': d_model // n_heads,
      'max_seq_len': length,
      'shorten_factor': factors or None,
      'attn_resampling': True,
      'updown_sample_type': 'naive',
      'causal': True,
    },
  }


def _draws(level):
  return len(level.inners) > 1 or any(map(_draws, level.inners))


def _n_threads():
  """Returns how many threads XLA takes: one for each core it may use."""
  try:
    return len(os.sched_getaffinity(0))
  except AttributeError:  # Not on every system.
    return os.cpu_count()
