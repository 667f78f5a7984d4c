"""Measures training steps side by side: python -m trax_hourglass.benchmark.

Our Hourglass, the one of `trax.models` and our Transformer-XL baseline, each
one jitted function of gradient and Adam with weights and slots donated, take
turns in one process, so that a busy machine is as unfair to one as to another.
Prints a table, and writes benchmark.json and benchmark.png to --output_dir,
runs/benchmark by default.
"""

from collections.abc import Sequence
import contextlib
import json
import os
import statistics
import sys
import time

from absl import flags
import jax
from jax import numpy as jnp
from matplotlib import figure
import numpy as np
import tensorflow as tf
import tqdm
import trax
from trax import layers as tl
from trax import optimizers, shapes, trainer_flags

from trax_hourglass import command
from trax_hourglass import hierarchy as hierarchy_lib
from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.models import HourglassLM

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(trainer_flags)
flags.DEFINE_string(
  'hierarchy', '2@1 8@4 2@1', 'The levels of both Hourglass models.'
)
flags.DEFINE_string('baseline', '12@1', 'The levels of the Transformer-XL.')
flags.DEFINE_integer('length', 2048, 'Tokens in a sequence.')
flags.DEFINE_integer('batch_size', 1, 'Sequences in a batch.')
flags.DEFINE_integer('d_model', 512, 'Width of the activations; d_ff is 4 x.')
flags.DEFINE_integer('n_heads', 8, 'Number of attention heads.')
flags.DEFINE_list('dropout', ['0', '0.1'], 'Rates, each measured by itself.')
flags.DEFINE_integer('repeats', 5, 'Steps of each that are timed.')
flags.DEFINE_bool(
  'quick', False, 'A model and a sequence small enough for two minutes.'
)

VOCAB_SIZE = 256
OURS = 'trax_hourglass'
THEIRS = 'trax.models'
_QUICK = {'length': 512, 'd_model': 128, 'hierarchy': '1@1 2@4 1@1'}
# Of those that all commands have.
_USED_FLAGS = ('log_level', 'output_dir')
_MIB = 2**20
_GIGA = 1e9


@command.exit_codes()
def main(argv: Sequence[str]) -> None:
  _read_flags(argv)
  rates = [_rate(text) for text in FLAGS.dropout]
  peak = matrix_product_rate()
  print(
    f'{jax.devices()[0].device_kind}: products of 2048 x 2048 matrices at '
    f'{peak / _GIGA:.0f} GFLOP/s'
  )
  results = {'peak': peak, 'settings': _settings(), 'runs': []}
  for rate in rates:
    with _compiled_anew():
      run = measure(contenders(rate), FLAGS.length, FLAGS.batch_size)
    results['runs'].append({'dropout': rate, 'models': run})
    print(f'\ndropout {rate}, length {FLAGS.length}, batch {FLAGS.batch_size}')
    print(_table(run, peak))
    if THEIRS not in run:
      print(f'{THEIRS}: has no {FLAGS.hierarchy} for this length')
  directory = (
    FLAGS.output_dir if FLAGS['output_dir'].present else 'runs/benchmark'
  )
  tf.io.gfile.makedirs(directory)
  path = os.path.join(directory, 'benchmark')
  with tf.io.gfile.GFile(path + '.json', 'w') as f:
    f.write(json.dumps(results, indent=1))
  _plot(results, path + '.png')
  print(f'\noutput    {path}.json, {path}.png')


def _read_flags(argv):
  command.start(argv)
  for flag in FLAGS.flags_by_module_dict()[trainer_flags.__name__]:
    if flag.present and flag.name not in _USED_FLAGS:
      raise UserError(f'--{flag.name} has no effect here; leave it out')
  if FLAGS.quick:
    for name, value in _QUICK.items():
      if not FLAGS[name].present:
        setattr(FLAGS, name, value)
    if not FLAGS['baseline'].present:
      FLAGS.baseline = '4@1'
  check_positive(
    length=FLAGS.length,
    batch_size=FLAGS.batch_size,
    repeats=FLAGS.repeats,
  )


@contextlib.contextmanager
def _compiled_anew():
  """Lets XLA compile what it has compiled before, to be timed."""
  old = jax.config.jax_enable_compilation_cache
  jax.config.update('jax_enable_compilation_cache', False)
  try:
    yield
  finally:
    jax.config.update('jax_enable_compilation_cache', old)


def _settings():
  names = 'hierarchy', 'baseline', 'length', 'batch_size', 'd_model', 'n_heads'
  return {name: FLAGS[name].value for name in names}


def _rate(text):
  try:
    return float(text)
  except ValueError:
    raise UserError(f'--dropout: got {text!r}, expected rates') from None


def contenders(dropout: float) -> dict:
  """Returns a function that builds the model, by the model's name."""
  arguments = {
    'vocab_size': VOCAB_SIZE,
    'd_model': FLAGS.d_model,
    'd_ff': 4 * FLAGS.d_model,
    'n_heads': FLAGS.n_heads,
    'dropout': dropout,
    'mode': 'train',
  }
  named = {
    OURS: lambda: HourglassLM(hierarchy=FLAGS.hierarchy, **arguments),
    f'Transformer-XL {FLAGS.baseline}': lambda: HourglassLM(
      hierarchy=FLAGS.baseline, **arguments
    ),
  }
  level = hierarchy_lib.parse(FLAGS.hierarchy)
  vanilla_layers = level.n_pre, level.n_post
  inner = ' '.join(str(level).split()[1:-1])
  if _is_of_trax(level, vanilla_layers, inner):
    named[THEIRS] = lambda: trax.models.HourglassLM(
      vanilla_layers=vanilla_layers, hierarchy=inner, **arguments
    )
  return named


def _is_of_trax(level, vanilla_layers, inner):
  """Returns whether the authors' model can be had, and takes the length."""
  if FLAGS.length % level.multiple or len(level.inners) != 1:
    return False
  try:
    return hierarchy_lib.parse(inner, vanilla_layers) == level
  except UserError:
    return False


class TrainingStep:
  """A model's training step: compiled, run once, and ready to be timed.

  Attributes:
    facts: What is known before a step is timed, by name; times in seconds,
      memory in bytes.
  """

  def __init__(self, build, length: int, batch_size: int):
    start = time.perf_counter()
    tokens = np.random.default_rng(0).integers(
      VOCAB_SIZE, size=(batch_size, length), dtype=np.int32
    )
    self._batch = tokens, tokens, np.ones(tokens.shape, np.float32)
    model = tl.Serial(build(), tl.CrossEntropyLoss())
    model.rng = jax.random.PRNGKey(0)
    model.init(shapes.signature(self._batch))
    adam = optimizers.Adam(1e-4)
    slots, opt_params = adam.tree_init(model.weights)

    def gradient(weights, state, rng):
      def loss(weights):
        return model.pure_fn(self._batch, weights, state, rng)

      return jax.value_and_grad(loss, has_aux=True)(weights)

    def step(weights, slots, state, rng, i):
      (loss, state), gradients = gradient(weights, state, rng)
      weights, slots, _ = adam.tree_update(
        i, gradients, weights, slots, opt_params
      )
      return weights, slots, state, loss

    self._carry = model.weights, slots, model.state
    self._rng, self._i = jax.random.PRNGKey(1), jnp.int32(1)
    built = time.perf_counter()
    arguments = *self._carry, self._rng, self._i
    traced = jax.jit(step, donate_argnums=(0, 1)).trace(*arguments)
    self._compiled = traced.lower().compile()
    compiled = time.perf_counter()
    flat, _ = tl.flatten_weights_and_state(model.weights, ())
    self.facts = {
      'weights': sum(int(np.prod(w.shape)) for w in flat),
      'build_and_initialise': built - start,
      'compile': compiled - built,
      'temporary_memory': self._compiled.memory_analysis().temp_size_in_bytes,
      'product_operations': product_operations(traced.jaxpr.jaxpr),
    }
    self()
    self.facts['to_end_of_first_step'] = time.perf_counter() - start

  def __call__(self) -> float:
    """Takes a step and returns how many seconds it took."""
    start = time.perf_counter()
    *carry, loss = self._compiled(*self._carry, self._rng, self._i)
    jax.block_until_ready((carry, loss))
    self._carry = carry
    return time.perf_counter() - start


def measure(named: dict, length: int, batch_size: int) -> dict:
  """Returns facts and step times of each model, by name."""
  steps = {
    name: TrainingStep(build, length, batch_size)
    for name, build in tqdm.tqdm(
      named.items(), 'compiling', leave=False, disable=not sys.stderr.isatty()
    )
  }
  seconds = {name: [] for name in steps}
  for _ in range(FLAGS.repeats):
    for name, step in steps.items():
      seconds[name].append(step())
  return {
    name: {**step.facts, 'step': seconds[name]} for name, step in steps.items()
  }


def matrix_product_rate(n: int = 2048, repeats: int = 5) -> float:
  """Returns the operations per second of this machine's matrix products."""
  x = jnp.ones((n, n))
  product = jax.jit(jnp.matmul).lower(x, x).compile()
  seconds = []
  for _ in range(repeats + 1):
    start = time.perf_counter()
    jax.block_until_ready(product(x, x))
    seconds.append(time.perf_counter() - start)
  return 2 * n**3 / min(seconds[1:])


def product_operations(jaxpr) -> int:
  """Returns the operations of all matrix products of a jaxpr.

  XLA's own count takes the body of a loop once; this one takes it as often as
  it runs. Of the branches of a condition it takes the most expensive.
  """
  total = 0
  for equation in jaxpr.eqns:
    inner = [
      product_operations(getattr(x, 'jaxpr', x))
      for x in jax.tree.leaves(tuple(equation.params.values()))
      if hasattr(getattr(x, 'jaxpr', x), 'eqns')
    ]
    if equation.primitive.name == 'dot_general':
      (contracted, _), _ = equation.params['dimension_numbers']
      left = equation.invars[0].aval.shape
      total += 2 * int(
        np.prod(equation.outvars[0].aval.shape)
        * np.prod([left[axis] for axis in contracted])
      )
    elif equation.primitive.name == 'scan':
      total += equation.params['length'] * sum(inner)
    elif equation.primitive.name == 'cond':
      total += max(inner)
    else:
      total += sum(inner)
  return total


def _table(run, peak):
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


def _plot(results, path):
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


if __name__ == '__main__':
  main(sys.argv)
