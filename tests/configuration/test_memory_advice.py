"""Bindings to suggest when training runs out of memory."""

import gin
import jax
import pytest

from trax_hourglass.configuration import memory_advice

MIB = 2**20
BATCH = 'trax_hourglass.Loop.device_batch_size'
OURS = 'trax_hourglass.HourglassLM'


@pytest.fixture(autouse=True)
def configuration():
  gin.clear_config()
  gin.parse_config(
    'train.model = @trax_hourglass.HourglassLM\n'
    'train.inputs = @trax_hourglass.text_inputs\n'
    f'trax_hourglass.text_inputs.batch_size = {12 * jax.device_count()}\n'
    'trax_hourglass.text_inputs.length = 64\n'
    f'{OURS}.vocab_size = 11\n'
    f'{OURS}.d_model = 16\n'
    f'{OURS}.d_ff = 64\n'
    f'{OURS}.n_heads = 1\n'
    f"{OURS}.hierarchy = '2@1'\n"
  )
  yield
  gin.clear_config()


def limit(monkeypatch, mib):
  monkeypatch.setattr(memory_advice, '_limit', lambda: mib * MIB)


def test_names_the_largest_that_fits(monkeypatch):
  """Of a device of 100 MiB, by what the model is built with."""

  def measure(model, optimizer, batch_size, length, device_batch_size):
    assert length == 64
    is_small = model.arguments.get('rematerialize')
    return {'total': (10 if is_small else 30) * device_batch_size * MIB}

  monkeypatch.setattr(
    memory_advice.device_memory,
    'measure',
    lambda *args: measure(*args[:4], args[4] or 12),
  )
  limit(monkeypatch, 100)
  assert memory_advice.advice() == f'{BATCH} = 3 (90 of 100 MiB)'
  limit(monkeypatch, 200)
  assert memory_advice.advice() == (
    f'{BATCH} = 6 (180 of 200 MiB) or {OURS}.rematerialize = True '
    '(120 of 200 MiB)'
  )


def test_names_all_where_none_fits(monkeypatch):
  monkeypatch.setattr(
    memory_advice.device_memory, 'measure', lambda *_: {'total': 2 * MIB}
  )
  limit(monkeypatch, 1)
  assert memory_advice.advice() == (
    f"{BATCH} = 6 or {OURS}.activation_dtype = 'bfloat16' or "
    f'{OURS}.rematerialize = True'
  )


@pytest.mark.slow
def test_measures_what_training_takes():
  whole = memory_advice._size(BATCH, 12)
  single = memory_advice._size(BATCH, 1)
  assert single < whole / 2
  assert memory_advice._size(f'{OURS}.rematerialize', True) < whole
