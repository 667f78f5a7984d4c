"""Checks that a restructuring left every number as it was.

  python -m tests.fingerprints --against=COMMIT

Measures this work tree and a temporary git worktree of COMMIT, each in a
process of its own, and lists the fingerprints that differ: for each of `MODELS`
the initial weights; loss, logits and gradients in mode 'train', with a fixed
key for dropout; logits in mode 'eval', and in 'predict' those of a prompt and
then of one token at a time; weights and slots of a checkpoint of 20 steps, and
a text sampled from it. A fingerprint is a hash of every bit. Exits with 1 if
any differs. Names of models, or `commands`, measure those alone. A complete
measurement of COMMIT is kept in .cache/fingerprints.

Only public names are used, so that both sides of a restructuring are measured.
"""

import argparse
import functools
import hashlib
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile

import jax
from jax import numpy as jnp
import numpy as np
from trax import layers as tl
from trax import shapes

import trax_hourglass

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / '.cache' / 'fingerprints'
AVERAGE = {
  'downsampling_fn': 'AveragePooling',
  'upsampling_fn': 'NaiveUpsampling',
}
LINEAR = {
  'downsampling_fn': 'LinearPooling',
  'upsampling_fn': 'LinearUpsampling',
}
# Arguments of `HourglassLM`. Functions are named: Trax's by tl.NAME, ours by
# NAME, with options as (NAME, options).
MODELS = {
  'baseline': {'hierarchy': '2@1'},
  'attention': {'hierarchy': '1@1 2@3 1@1'},
  'attention_three_levels': {'hierarchy': '0@1 1@2 1@4 1@2 1@1'},
  'average_three_levels': {'hierarchy': '1@1 1@2 1@6 0@2 1@1', **AVERAGE},
  'linear': {'hierarchy': '1@1 1@2 1@1', 'rematerialize': True, **LINEAR},
  'linear_none': {
    'hierarchy': '1@2',
    **LINEAR,
    'upsampling_fn': 'NoUpsampling',
  },
  'attention_linear_repeat': {
    'hierarchy': '1@1 1@3 1@1',
    'attention_downsampling_fn': 'LinearPooling',
    'attention_upsampling_fn': 'NaiveUpsampling',
  },
  'attention_none': {
    'hierarchy': '0@1 1@2 0@1',
    'attention_upsampling_fn': 'NoUpsampling',
  },
  'rotary_local': {
    'hierarchy': '1@1 1@2 0@1',
    'vanilla_attn_type': 'RotaryAttention',
    'middle_attn_type': ('LocalAttention', {'window': 2}),
    **LINEAR,
  },
  'lsh': {
    'hierarchy': '1@1 1@2 0@1',
    'vanilla_attn_type': ('LSHAttention', {'chunk_len': 4}),
    'middle_attn_type': 'LSHAttention',
    **AVERAGE,
  },
  'trax': {
    'hierarchy': '0@1 1@2 1@1',
    'vanilla_attn_type': 'tl.CausalAttention',
    'middle_attn_type': 'tl.SelfAttention',
    **AVERAGE,
  },
  'drawn_factor': {'hierarchy': '0@1 1@{2,3} 1@1', **AVERAGE},
  'bfloat16': {'hierarchy': '1@1 1@3 1@1', 'activation_dtype': 'bfloat16'},
}
NAMES = [*MODELS, 'commands']
SIZES = {'vocab_size': 13, 'd_model': 12, 'd_ff': 14, 'n_heads': 3}
BATCH, LENGTH, PROMPT = 2, 14, 5

# Beyond those of tests/tiny.gin.
TRAINING = (
  'train.steps = 20',
  'train.eval_frequency = 10',
  "trax_hourglass.HourglassLM.hierarchy = '1@1 2@2 1@1'",
)


def fingerprint(tree) -> str:
  """Returns a hash of the arrays of a tree: shapes, types and every bit."""
  digest = hashlib.sha256()
  for array in map(np.asarray, jax.tree.leaves(tree)):
    digest.update(f'{array.dtype}{array.shape}'.encode())
    digest.update(array.tobytes())
  return digest.hexdigest()[:16]


def measure_model(name) -> dict[str, str]:
  """Returns the fingerprints of a model in its three modes."""
  key = jax.random.PRNGKey(5)
  rng = np.random.default_rng(7)
  tokens = rng.integers(13, size=(BATCH, LENGTH)).astype(np.int32)

  train, weights, state = build(name, 'train', LENGTH)

  def loss(weights):
    logits, _ = train.pure_fn(tokens, weights, state, key)
    entropies = jax.nn.log_softmax(logits) * jax.nn.one_hot(tokens, 13)
    return -jnp.sum(entropies) / tokens.size, logits

  differentiated = jax.jit(jax.value_and_grad(loss, has_aux=True))
  (value, train_logits), gradients = differentiated(weights)

  evaluated, weights, state = build(name, 'eval', LENGTH)
  eval_logits, _ = jax.jit(evaluated.pure_fn)(tokens, weights, state, key)

  cached, weights, state = build(name, 'predict', 1)
  structure = jax.tree.structure(state)

  @jax.jit
  def predict(weights, state):
    def call(state, tokens):
      y, state = cached.pure_fn(tokens, weights, state, key)
      # Some layers of Trax rename their state when they first run.
      return jax.tree.unflatten(structure, jax.tree.leaves(state)), y

    state, first = call(state, tokens[:, :PROMPT])
    rest = jax.lax.scan(call, state, tokens[:, PROMPT:].T[..., None])[1]
    return first, rest

  return {
    f'{name}: {what}': fingerprint(tree)
    for what, tree in {
      'initial weights': flat(train.weights),
      'train loss': value,
      'train logits': train_logits,
      'train gradients': flat(gradients),
      'eval logits': eval_logits,
      'predict logits': predict(weights, state),
    }.items()
  }


def build(name, mode, length):
  """Returns a model, random weights for it, and its first state."""

  def function(name):
    if isinstance(name, tuple):
      return functools.partial(function(name[0]), **name[1])
    module, _, name = name.rpartition('.')
    return getattr(tl if module else trax_hourglass, name)

  arguments = {
    key: function(value) if key.endswith(('_fn', '_type')) else value
    for key, value in MODELS[name].items()
  }
  model = trax_hourglass.HourglassLM(
    **SIZES, **arguments, dropout=0.1, mode=mode
  )
  signature = shapes.ShapeDtype((BATCH, length), np.int32)
  model.init(signature, rng=jax.random.PRNGKey(3))
  rng = np.random.default_rng(11)
  weights, _ = tl.unflatten_weights_and_state(
    [
      rng.normal(scale=0.3, size=w.shape).astype('f')
      for w in flat(model.weights)
    ],
    tl.flatten_weights_and_state((), model.state)[1],
    (model.weights, model.state),
  )
  return model, weights, model.state


def flat(weights):
  return tl.flatten_weights_and_state(weights, ())[0]


def measure_commands() -> dict[str, str]:
  """Returns the fingerprints of a training and of a text generated by it."""

  def run(command, *flags):
    return subprocess.run(
      [sys.executable, '-m', f'trax_hourglass.{command}', *flags],
      check=True,
      stdout=subprocess.PIPE,
    ).stdout

  with tempfile.TemporaryDirectory() as folder:
    text, output_dir = f'{folder}/text', f'--output_dir={folder}/run'
    Path(text).write_bytes(np.random.default_rng(0).bytes(2000))
    bindings = (f"trax_hourglass.text_file.path = '{text}'", *TRAINING)
    config = [f'--config={binding}' for binding in bindings]
    run('train', '--config_file=tests/tiny.gin', output_dir, *config)
    content = trax_hourglass.load_checkpoint(f'{folder}/run')
    sample = run('generate', output_dir, '--prompt=abc', '--length=40')
  return {
    'training: weights': fingerprint(content['flat_weights']),
    'training: slots': fingerprint(content['slots_per_task']),
    'generation: text': hashlib.sha256(sample).hexdigest()[:16],
  }


def measure(names) -> dict[str, str]:
  """Returns all fingerprints of the package in the current folder."""
  assert Path(trax_hourglass.__file__).is_relative_to(Path.cwd())
  found = {}
  for name in names:
    found |= measure_commands() if name == 'commands' else measure_model(name)
  return found


def measure_in(folder, names) -> dict[str, str]:
  """Returns `measure` of a work tree, from a process of its own."""
  with tempfile.TemporaryDirectory() as results:
    path = Path(results) / 'found.json'
    subprocess.run(
      [sys.executable, '-m', 'tests.fingerprints', f'--write={path}', *names],
      cwd=folder,
      check=True,
      env=os.environ
      | {
        'JAX_PLATFORMS': 'cpu',
        'JAX_COMPILATION_CACHE_DIR': str(ROOT / '.cache' / 'jax'),
        'PYTHONPATH': str(folder),
        'XLA_FLAGS': '--xla_backend_optimization_level=0 '
        '--xla_llvm_disable_expensive_passes=true',
      },
    )
    return json.loads(path.read_text())


def measure_commit(commit, names) -> dict[str, str]:
  """Returns `measure` of a commit, as it was kept or from a new worktree."""
  git = functools.partial(
    subprocess.run, cwd=ROOT, check=True, capture_output=True, text=True
  )
  commit = git(['git', 'rev-parse', f'{commit}^{{commit}}']).stdout.strip()
  script = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
  kept = KEPT / f'{commit}-{script[:16]}.json'
  if kept.exists():
    return json.loads(kept.read_text())
  with tempfile.TemporaryDirectory() as folder:
    tree = f'{folder}/tree'
    git(['git', 'worktree', 'add', '--detach', tree, commit])
    try:
      shutil.copy(__file__, f'{tree}/tests/fingerprints.py')
      found = measure_in(tree, names)
    finally:
      git(['git', 'worktree', 'remove', '--force', tree])
  if names == NAMES:
    KEPT.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(found, indent=1))
  return found


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--against', metavar='COMMIT')
  parser.add_argument('--write', help=argparse.SUPPRESS)  # The child's results.
  parser.add_argument('names', nargs='*', metavar='NAME', help=f'of {NAMES}')
  options = parser.parse_args()
  names = options.names or NAMES
  if options.write:
    Path(options.write).write_text(json.dumps(measure(names)))
    return 0
  if not options.against:
    parser.error('--against: expected a commit')
  before = measure_commit(options.against, names)
  after = measure_in(ROOT, names)
  different = [key for key in after if before.get(key) != after[key]]
  for key in different:
    print(f'differs: {key}')
  print(f'{len(after) - len(different)} of {len(after)} fingerprints are equal')
  return bool(different)


if __name__ == '__main__':
  sys.exit(main())
