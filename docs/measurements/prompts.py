"""Measures many prompts in one call of a sampler against calls of one prompt.

python docs/measurements/prompts.py LONGEST: 16 prompts of 10 to LONGEST bytes.
Takes CPU time, which other work on the machine does not change much; give it
one core, with `taskset -c 0`.
"""

import sys
import time

import numpy as np
from trax import shapes

from trax_hourglass import HourglassLM, Sampler

N_PROMPTS, N_TOKENS, REPEATS = 16, 256, 2
# A call of one prompt takes long, so three of them stand for all.
SOME = (2, 7, 13)


def main():
  model = HourglassLM(
    vocab_size=256,
    d_model=512,
    d_ff=2048,
    n_heads=8,
    hierarchy='2@1 8@4 2@1',
    mode='predict',
    max_inference_length=1024,
  )
  model.init(shapes.ShapeDtype((1, 1), np.int32))
  sampler = Sampler(model)
  rng = np.random.default_rng(0)
  lengths = np.linspace(10, int(sys.argv[1]), N_PROMPTS).astype(int)
  prompts = [rng.integers(256, size=n).astype(np.int32) for n in lengths]

  def together(n=N_TOKENS):
    sampler.sample(prompts, n)

  def alone(n=N_TOKENS):
    for i in SOME:
      sampler.sample(prompts[i], n, first_row=i)

  together(2)  # Compiles.
  alone(2)
  for _ in range(REPEATS):
    seconds = [_seconds(alone) * N_PROMPTS / len(SOME), _seconds(together)]
    rates = [N_PROMPTS * N_TOKENS / s for s in seconds]
    print(
      f'tokens/s: {rates[1]:.0f} in one call, {rates[0]:.0f} in {N_PROMPTS}; '
      f'ratio {rates[1] / rates[0]:.2f}'
    )


def _seconds(function):
  start = time.process_time()
  function()
  return time.process_time() - start


if __name__ == '__main__':
  main()
