"""Bindings to suggest when training runs out of memory."""

import contextlib

import gin
import jax

from trax_hourglass.configuration import bindings, trax_inputs, values
from trax_hourglass.training import device_memory

_OURS = 'trax_hourglass.HourglassLM'
_BATCH = 'trax_hourglass.Loop.device_batch_size'
_MIB = 2**20


def advice() -> str:
  """Returns bindings that take less memory, joined by "or".

  Where a device states how much memory it has, those that fit, if any do, and
  what each takes of it.
  """
  choices, limit = _choices(), _limit()
  if limit:
    # An error here would hide the one that is explained.
    with contextlib.suppress(Exception):
      if fitting := list(filter(None, (_fitting(*c, limit) for c in choices))):
        return ' or '.join(fitting)
  return ' or '.join(f'{name} = {each[0]!r}' for name, each in choices)


def _fitting(name, choice, limit):
  """Returns a binding to the first value that fits, `None` if none does."""
  for value in choice:
    size = _size(name, value)
    if size <= limit:
      of = f'{size / _MIB:,.0f} of {limit / _MIB:,.0f} MiB'
      return f'{name} = {value!r} ({of})'
  return None


def _choices():
  """Returns (parameter, values) pairs that take less memory than now."""
  share = (trax_inputs.sizes().batch_size or 1) // jax.device_count()
  n = values.value(_BATCH, share)
  smaller = [m for m in range(n // 2, 0, -1) if share % m == 0]
  choices = [(_BATCH, smaller)] if smaller else []
  if values.selector('train.model') == _OURS:
    for name, value in {
      'activation_dtype': 'bfloat16',
      'rematerialize': True,
    }.items():
      if values.argument('train.model', name) != value:
        choices.append((f'{_OURS}.{name}', [value]))
  return choices


def _limit():
  """Returns the bytes of a device's memory, `None` if it does not say."""
  return (jax.local_devices()[0].memory_stats() or {}).get('bytes_limit')


def _size(parameter, value):
  """Returns the bytes that a device needs with one more binding."""
  sizes = trax_inputs.sizes()
  device_batch_size = values.value(_BATCH)
  scope = None
  if parameter == _BATCH:
    device_batch_size = value
  else:
    # gin cannot take a binding back; in a scope of its own it hurts nobody.
    scope = f'memory_advice_{parameter.rpartition(".")[2]}'
    with gin.unlock_config():
      gin.bind_parameter(f'{scope}/{parameter}', value)
  with gin.config_scope(scope):
    memory = device_memory.measure(
      bindings.model('train'),
      bindings.function('train.optimizer')(),
      sizes.batch_size,
      sizes.length,
      device_batch_size,
    )
  return memory['total']
