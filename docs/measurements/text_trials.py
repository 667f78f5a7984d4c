"""Trains what a gin file binds for so many seconds of CPU time; scores it.

python docs/measurements/text_trials.py quickstart.gin SECONDS BINDING...

The rate follows the time: up for its first 5%, then down a cosine to zero. So
configurations of different speed are compared at equal cost. Compiling is not
counted. The score is of the first 60,000 bytes of the validation split, each of
them predicted from at least half a window.
"""

import functools
import math
import sys
import time

import gin
import jax
from jax import numpy as jnp
import numpy as np
from trax import shapes

from trax_hourglass.configuration import reading
from trax_hourglass.data import windows
from trax_hourglass.data.text import wikipedia_sample

WARMUP, SCORED = 0.05, 60_000


def main():
  config_file, seconds, *bindings = sys.argv[1:]
  reading.configure(config_file=config_file, config=bindings)
  length, batch_size, peak = (
    gin.query_parameter(f'%{name}')
    for name in ('LENGTH', 'BATCH_SIZE', 'LEARNING_RATE')
  )
  model, scorer = (
    gin.get_configurable('trax_hourglass.HourglassLM')(mode=mode)
    for mode in ('train', 'eval')
  )
  signature = shapes.ShapeDtype((batch_size, length), np.int32)
  weights, state = model.init(signature)
  scorer.init(signature)
  name = gin.query_parameter('train.optimizer').selector
  optimizer = gin.get_configurable(name)()
  if hasattr(optimizer, 'name_weights'):
    optimizer.name_weights(model)
  slots, options = optimizer.tree_init(weights)
  rng = jax.random.PRNGKey(1)

  def bits(layer, weights, tokens, rng):
    logits, _ = layer.pure_fn(tokens, weights, state, rng)
    log_probs = jax.nn.log_softmax(logits)
    found = jnp.take_along_axis(log_probs, tokens[..., None], -1)
    return -found[..., 0] / math.log(2)

  def loss(weights, tokens, rng):
    return jnp.mean(bits(model, weights, tokens, rng))

  @functools.partial(jax.jit, donate_argnums=(0, 1))
  def step(weights, slots, tokens, i, rate):
    rng_i = jax.random.fold_in(rng, i)
    gradients = jax.grad(loss)(weights, tokens, rng_i)
    weights, slots, _ = optimizer.tree_update(
      i, gradients, weights, slots, {**options, 'learning_rate': rate}, False
    )
    return weights, slots

  text = wikipedia_sample()
  stream = iter(windows.random_windows(text.train, length, batch_size, 0))
  tokens = next(stream)[0].astype(np.int32)
  step = step.lower(weights, slots, tokens, 1, np.float32(0)).compile()
  start, n_steps = time.process_time(), 0
  while (done := (time.process_time() - start) / float(seconds)) < 1:
    progress = max(0, (done - WARMUP) / (1 - WARMUP))
    rate = min(1, done / WARMUP) * 0.5 * (1 + math.cos(math.pi * progress))
    n_steps += 1
    weights, slots = jax.block_until_ready(
      step(weights, slots, tokens, n_steps, np.float32(peak * rate))
    )
    tokens = next(stream)[0].astype(np.int32)

  scored = jax.jit(functools.partial(bits, scorer))
  total = sum(
    np.sum(scored(weights, tokens, rng) * is_scored)
    for tokens, _, is_scored in windows.scoring_windows(
      text.validation[:SCORED], length, length // 2, max(8, 4096 // length)
    )
  )
  megabytes = n_steps * batch_size * length / 1e6
  score = f'{total / SCORED:.4f} bits per byte'
  print(f'{n_steps} steps, {megabytes:.2f} MB; {score}')


if __name__ == '__main__':
  main()
