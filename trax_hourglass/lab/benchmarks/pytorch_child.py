"""Runs a model of hourglass-transformer-pytorch, whenever it is asked.

A script of its own, which the module `pytorch` beside it starts by path:
an import of the package around it would bring JAX and TensorFlow along.

Takes its settings as JSON, in its one argument. Builds the model, works once
and writes a line of JSON: weights, seconds to the end of that first time, and
the growth of its memory. Then works once for each line it reads, and answers
with the seconds.
"""

import json
import re
import sys
import time

from hourglass_transformer_pytorch import HourglassTransformerLM
import torch
from torch.nn import functional


def main(settings: dict) -> None:
  torch.set_num_threads(settings['threads'])
  torch.manual_seed(0)
  torch.set_float32_matmul_precision('high')  # TF32 on a GPU, as in JAX.
  on_gpu = settings['device'] == 'cuda'
  before = resident_memory('VmRSS')

  def answer(**facts):
    if on_gpu:
      facts['device_memory'] = torch.cuda.max_memory_allocated()
    elif before is not None:
      facts['resident_memory'] = resident_memory('VmHWM') - before
    print(json.dumps(facts), flush=True)

  start = time.perf_counter()
  model = HourglassTransformerLM(
    depth=nested_tuple(settings['depth']), **settings['model']
  ).to(settings['device'])
  compute = WORKS[settings['what']](model, *batch(settings))

  def work():
    with torch.autocast(
      settings['device'], torch.bfloat16, settings['dtype'] == 'bfloat16'
    ):
      compute()
    if on_gpu:
      torch.cuda.synchronize()

  work()
  answer(
    weights=sum(weights.numel() for weights in model.parameters()),
    to_end_of_first_step=time.perf_counter() - start,
  )
  for _ in sys.stdin:
    start = time.perf_counter()
    work()
    answer(seconds=time.perf_counter() - start)


def gradient(model, inputs, targets):
  def work():
    model.zero_grad()
    cross_entropy(model, inputs, targets).backward()

  return work


def training_step(model, inputs, targets):
  adam = torch.optim.Adam(model.parameters(), lr=1e-4)
  compute_gradient = gradient(model, inputs, targets)

  def work():
    compute_gradient()
    adam.step()

  return work


def forward(model, inputs, targets):
  model.eval()

  def work():
    with torch.no_grad():
      cross_entropy(model, inputs, targets)

  return work


WORKS = {'step': training_step, 'gradient': gradient, 'forward': forward}


def cross_entropy(model, inputs, targets):
  logits = model(inputs)
  return functional.cross_entropy(logits.transpose(1, 2), targets)


def batch(settings):
  """Returns tokens, and those that follow each: the package shifts nothing."""
  model = settings['model']
  tokens = torch.randint(
    model['num_tokens'],
    (settings['batch_size'], model['max_seq_len'] + 1),
    device=settings['device'],
  )
  return tokens[:, :-1], tokens[:, 1:]


def nested_tuple(depth):
  """Returns depths as the package wants them; JSON has lists alone."""
  return tuple(map(nested_tuple, depth)) if isinstance(depth, list) else depth


def resident_memory(field):
  """Returns bytes, now ('VmRSS') or at the peak ('VmHWM'); `None` if unknown.

  Not those of `resource.getrusage`, whose peak may be the parent's.
  """
  try:
    with open('/proc/self/status', encoding='ascii') as file:
      return 1024 * int(re.search(rf'{field}:\s*(\d+) kB', file.read())[1])
  except OSError:
    return None


if __name__ == '__main__':
  main(json.loads(sys.argv[1]))
