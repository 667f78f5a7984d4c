"""Tests of `python -m trax_hourglass.memory`, on the device there is."""

import re

import pytest

from tests.commands import TINY
from trax_hourglass import memory
from trax_hourglass.lab.benchmarks import device_memory

_ARGUMENTS = ['memory', f'--config_file={TINY}']


@pytest.fixture(autouse=True)
def simulated(monkeypatch):
  """Numbers of devices asked for; here JAX has started."""
  numbers = []
  monkeypatch.setattr(device_memory, 'simulate', numbers.append)
  return numbers


def test_states_what_a_device_holds(capsys, simulated):
  larger = '--config=trax_hourglass.HourglassLM.d_model = 1024'
  memory.main([*_ARGUMENTS, larger])
  assert simulated == [1]
  title, *rows = capsys.readouterr().out.splitlines()
  assert title == '2 sequences of 16 tokens, 2 on each device:'
  weights, slots, temporaries, total, shared = (
    int(re.search(r'([\d,]+) MiB', row)[1].replace(',', '')) for row in rows
  )
  assert weights == round(4 * 1024 * (256 + 256 + 2) / 2**20)
  assert slots == 2 * weights
  assert total == pytest.approx(weights + slots + temporaries, abs=1)
  assert shared == total


def test_shared_slots_leave_a_part_on_each():
  found = {'weights': 2, 'slots': 16, 'temporaries': 3, 'total': 21}
  mib = {name: size * 2**20 for name, size in found.items()}
  *_, total, shared = device_memory.table(mib, 8).splitlines()
  assert total.split()[-2:] == ['21', 'MiB']
  assert shared.split()[-2:] == ['7', 'MiB']
