"""Trains on simulated devices and saves the results.

Runs in its own process, since it restarts JAX for each number of devices.
"""

import pickle

import jax
from jax.extend import backend
import numpy as np
from trax import layers as tl
from trax import optimizers
from trax.supervised import training as trax_training

from trax_hourglass import (
  AveragePooling,
  HourglassLM,
  NaiveUpsampling,
  evaluation,
)
from trax_hourglass.distribution import devices
from trax_hourglass.errors import UserError
from trax_hourglass.kernels import random_masks
from trax_hourglass.training import Loop, trax_internals, updates

VOCAB_SIZE = 11
BATCH_SIZE = 8
LENGTH = 7
N_STEPS = 3

# Names of the functions that XLA has compiled.
_COMPILED = []
jax.monitoring.register_event_duration_secs_listener(
  lambda event, _, fun_name='', **kwargs: (
    event.endswith('/backend_compile_duration') and _COMPILED.append(fun_name)
  )
)


def batches(batch_size=BATCH_SIZE, seed=0):
  """Yields batches whose sequences have different loss weights, some none."""
  rng = np.random.default_rng(seed)
  while True:
    tokens = rng.integers(VOCAB_SIZE, size=(batch_size, LENGTH))
    tokens = tokens.astype(np.int32)
    loss_weights = rng.integers(0, 4, size=(batch_size, 1))
    loss_weights[:2] = [[0], [3]]
    loss_weights = loss_weights * np.ones((batch_size, LENGTH))
    yield tokens, tokens, loss_weights.astype(np.float32)


def with_a_weightless(batches):
  """Yields batches, the third without loss weights: its loss is NaN."""
  for i, (tokens, targets, loss_weights) in enumerate(batches):
    yield tokens, targets, 0 * loss_weights if i == 2 else loss_weights


def hourglass(mode):
  return HourglassLM(
    VOCAB_SIZE,
    d_model=6,
    d_ff=5,
    n_heads=2,
    hierarchy='0@1 2@2 0@1',
    dropout=0.0,
    mode=mode,
  )


def make_loop(
  model, eval_model=None, batch_size=BATCH_SIZE, stream=None, **kwargs
):
  task = trax_training.TrainTask(
    stream or batches(batch_size),
    tl.WeightedCategoryCrossEntropy(),
    optimizers.SGD(0.5),
    n_steps_per_checkpoint=1,
  )
  eval_task = trax_training.EvalTask(
    batches(batch_size, seed=1),
    [tl.WeightedCategoryCrossEntropy(), tl.WeightedCategoryAccuracy()],
    metric_names=['loss', 'accuracy'],
    n_eval_batches=2,
  )
  return Loop(model, task, eval_model, [eval_task], random_seed=0, **kwargs)


def results(loop):
  history = loop.history
  return {
    'losses': history.get('train', 'metrics/WeightedCategoryCrossEntropy'),
    'eval_losses': history.get('eval', 'metrics/loss'),
    'accuracies': history.get('eval', 'metrics/accuracy'),
    'weights': flat_weights(loop.model),
  }


def flat_weights(model):
  flat, _ = tl.flatten_weights_and_state(model.weights, model.state)
  return [np.asarray(w) for w in flat]


def train():
  """Returns the results of a few steps, and the score of a text afterwards."""
  _COMPILED.clear()
  loop = make_loop(hourglass('train'), hourglass('eval'))
  loop.run(N_STEPS)
  found = results(loop)
  found['n_compiled'] = sum('update' in name for name in _COMPILED)
  text = np.arange(45, dtype=np.uint8) % VOCAB_SIZE
  score = evaluation.score(loop.eval_model, text, LENGTH, batch_size=3)
  found['score'] = score.bits, score.n
  return found


def tiny():
  return tl.Serial(tl.Embedding(VOCAB_SIZE, 3), tl.Dense(VOCAB_SIZE))


def resume(output_dir):
  """Returns the results of two steps and, resumed, of one more."""
  make_loop(tiny(), output_dir=output_dir).run(2)
  loop = make_loop(tiny(), output_dir=output_dir)
  loop.run(1)
  return results(loop)


def skip():
  """Returns the weights after each step of a run whose second is skipped."""
  stream = with_a_weightless(batches())
  loop = make_loop(tiny(), stream=stream, skip_nonfinite=True)
  weights = []
  for _ in range(N_STEPS):
    loop.run(1)
    weights.append(flat_weights(loop.model))
  return weights


def refusals():
  """Returns the error messages for arguments that these devices exclude."""
  attempts = {
    'batch_size': {'batch_size': 9},
    'adasum': {'adasum': True},
    'n_devices': {'n_devices': jax.device_count() + 1},
  }
  messages = {}
  for name, arguments in attempts.items():
    try:
      make_loop(tiny(), **arguments)
    except UserError as error:
      messages[name] = str(error)
  return messages


def draws():
  """Returns the random numbers of each device in a step, and its state."""
  optimizer = optimizers.SGD(0.1)
  slots, opt_params = optimizer.tree_init(np.zeros(1))

  def forward_and_backward(batch, weights, state, rng):
    drawn = devices.gather(jax.random.bits(rng, (1,)))
    kept = random_masks.keep(rng, 0.5, (64,))
    mine = jax.lax.axis_index(devices.AXIS) + jax.numpy.int32(7)
    state = drawn, devices.gather(kept[None]), kept, mine
    return (batch[0].mean(), state), weights

  update = updates.parallel_update(
    forward_and_backward, optimizer, own_signal=lambda: 15
  )
  rows = np.arange(jax.device_count(), dtype=np.float32)
  weights, key = np.zeros(1, np.float32), np.zeros(2, np.uint32)
  _, state, stats = update((weights, slots), 1, opt_params, (rows,), (), key)
  return jax.device_get((*state, stats[updates.SIGNAL], stats['loss']))


def collectives():
  """Returns the counts of collective operations in a step of a full model."""
  model = HourglassLM(
    VOCAB_SIZE,
    d_model=6,
    d_ff=5,
    n_heads=2,
    hierarchy='1@1 2@{2,3} 1@1',
    attention_downsampling_fn=AveragePooling,
    attention_upsampling_fn=NaiveUpsampling,
    dropout=0.1,
    rematerialize=True,
  )
  loop = make_loop(
    model, device_batch_size=1, batch_size=2 * jax.device_count()
  )
  (trainer,) = trax_internals.Internals(loop).trainers
  update = updates.compiled_update(
    trax_internals.forward_and_backward(trainer), trainer.optimizer
  )
  accelerated = trainer.accelerated_model_with_loss
  lowered = update.lower(
    (accelerated.weights, trainer.slots),
    1,
    trainer._opt_params,
    np.zeros(2, np.uint32),
    accelerated.state,
    tuple(loop.tasks[0].sample_batch),
  )
  words = (
    'all_reduce',
    'all_gather',
    'all_to_all',
    'collective_broadcast',
    'collective_permute',
    'reduce_scatter',
  )
  return {word: lowered.as_text().count(f'stablehlo.{word}') for word in words}


def sources_after_donation():
  """Returns arrays after their copies on all devices were donated."""
  sources = [np.arange(5.0, dtype=np.float32), jax.numpy.arange(5.0)]
  add = devices.on_each(lambda x: x + 1, (devices.REPLICATED,), (0,))
  for source in sources:
    jax.block_until_ready(add(devices.replicate(source)))
  return [np.asarray(source) for source in sources]


def main(path, *device_counts):
  found = {}
  for n in map(int, device_counts):
    backend.clear_backends()
    jax.config.update('jax_num_cpu_devices', n)
    assert jax.device_count() == n
    found[n] = train()
    loop = make_loop(tiny(), device_batch_size=BATCH_SIZE // n // 2 or None)
    loop.run(N_STEPS)
    found[n]['accumulated'] = results(loop)
    found[n]['resumed'] = resume(f'{path}_{n}')
    found[n]['skipped'] = skip()
    found[n]['refusals'] = refusals()
  found['draws'] = draws()
  found['collectives'] = collectives()
  found['sources'] = sources_after_donation()
  with open(path, 'wb') as file:
    pickle.dump(found, file)
