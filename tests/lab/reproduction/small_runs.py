"""Small runs for the tests of experiments, and training that is faked."""

import types

from trax.supervised import history as trax_history

from trax_hourglass import commands, evaluation
from trax_hourglass.layers import metrics

SMALL = (
  'STEPS = 2',
  'WARMUP_STEPS = 1',
  'BATCH_SIZE = 2',
  'EVAL_BATCHES = 1',
  'trax_hourglass.HourglassLM.d_model = 8',
  'trax_hourglass.HourglassLM.d_ff = 8',
  'trax_hourglass.reproduce.seeds = 1',
)
CHUNKS = (*SMALL, 'trax_hourglass.random_chunks.n_chunks = 400')


def argv(output_dir, *flags, config=CHUNKS):
  return [
    'reproduce',
    f'--output_dir={output_dir}',
    *flags,
    *(f'--config={binding}' for binding in config),
  ]


def pretend_to_train(output_dir, *, config_file, config):
  """Returns a made-up run, whose bits and accuracy depend on its config."""
  del output_dir, config_file
  bound = ' '.join(config)
  [seed] = [b[-1] for b in config if b.startswith('SEED = ')]
  has_vanilla = "HIERARCHY = '0@1" not in bound and '1@1' in bound
  history = trax_history.History()
  for step, bits in ((1, 8.0), (2, 2.0 + int(seed) / 10)):
    history.append('eval', 'metrics/bits_per_byte', step, bits)
    accuracy = 0.68 if has_vanilla else 0.36
    history.append('eval', 'metrics/accuracy', step, accuracy)
  loop = types.SimpleNamespace(
    step=2,
    model=types.SimpleNamespace(weights=()),
    history=history,
    measure=metrics.Measure(),
  )
  score = evaluation.Score(bits, 0.01, 100)
  return commands.Run(loop, 2, 1.0, score)
