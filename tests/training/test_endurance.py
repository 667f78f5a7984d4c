"""Memory and time per step do not grow during a long run."""

import gc
import statistics
import time

import psutil
import pytest

from tests.training.small_loop import small_loop


@pytest.mark.slow
def test_memory_and_step_time_stay_flat(tmp_path):
  loop = small_loop(tmp_path, dropout=0.1, n_steps_per_checkpoint=50)
  process = psutil.Process()
  memory, seconds = [], []
  original = loop._train_one_step

  def train_one_step():
    start = time.perf_counter()
    original()
    seconds.append(time.perf_counter() - start)
    if loop.step % 100 == 0:
      gc.collect()
      memory.append(process.memory_info().rss)

  loop._train_one_step = train_one_step
  loop.run(3000)
  early, late = memory[4], memory[-1]  # After 500 steps, after 3,000.
  first, last = seconds[500:1000], seconds[2500:]
  print(f'memory {early / 2**20:.0f} MiB, then {late / 2**20:.0f} MiB')
  print(
    f'step {1e3 * statistics.median(first):.3f} ms, then '
    f'{1e3 * statistics.median(last):.3f} ms'
  )
  assert late < 1.05 * early
  assert statistics.median(last) < 1.3 * statistics.median(first)
