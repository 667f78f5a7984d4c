"""The package's side, mostly with a child that has no PyTorch."""

import json

import pytest

from trax_hourglass import hierarchy
from trax_hourglass.errors import UserError
from trax_hourglass.lab.benchmarks import pytorch

SIZES = {'length': 8, 'batch_size': 1, 'd_model': 8, 'n_heads': 2}
CHILD = """
import json
import sys

settings = json.loads(sys.argv[1])
print('a warning', file=sys.stderr)
if settings['what'] == 'forward':
  raise ValueError('no forward')
print(json.dumps({'weights': settings['model']['dim_head']}), flush=True)
for i, _ in enumerate(sys.stdin):
  if i == 2:
    sys.exit('no third step')
  print(json.dumps({'seconds': i / 4, 'resident_memory': 100 + i}), flush=True)
"""


@pytest.fixture
def child(tmp_path, monkeypatch):
  """Function from what is measured to a child without PyTorch."""
  script = tmp_path / 'child.py'
  script.write_text(CHILD)
  monkeypatch.setattr(pytorch, 'CHILD', script)
  children = []

  def child(what):
    children.append(
      pytorch.Child(what, hierarchy.parse('1@1 2@2 1@1'), **SIZES)
    )
    return children[-1]

  yield child
  for running in children:
    running.close()


def test_asks_for_each_step(child):
  step = child('step')
  assert step.facts == {'weights': 4}
  assert [step(), step()] == [0, 0.25]
  assert step.facts == {'weights': 4, 'resident_memory': 101}


def test_says_what_a_child_died_of(child):
  message = 'its process ended with 1: '
  with pytest.raises(UserError, match=message + 'ValueError: no forward$'):
    child('forward')
  step = child('step')
  step(), step()
  for _ in range(2):
    with pytest.raises(UserError, match=message + 'no third step$'):
      step()


@pytest.mark.parametrize(
  ('levels', 'depth', 'factors'),
  [
    ('3@1', 3, []),
    ('2@1 8@4 2@1', (2, 8, 2), [4]),
    ('2@1 1@2 4@6 3@2 0@1', (2, (1, 4, 3), 0), [2, 3]),
  ],
)
def test_hierarchy_in_the_words_of_the_package(levels, depth, factors):
  level = hierarchy.parse(levels)
  assert pytorch.depth_and_factors(level) == (depth, factors)


@pytest.mark.parametrize(
  ('levels', 'length', 'dropout', 'reason'),
  [
    ('1@1 1@2 1@4 1@2 1@1', 8, 0, None),
    ('1@1 1@3 1@1', 8, 0, 'takes multiples of 3 tokens alone'),
    ('1@1 1@2 1@1', 8, 0.1, 'has no dropout'),
    ('1@1 1@{2,4} 1@1', 8, 0, 'has no shorten factor dropout'),
  ],
)
def test_says_why_it_cannot_take_part(
  monkeypatch, levels, length, dropout, reason
):
  level = hierarchy.parse(levels)
  monkeypatch.setattr(pytorch, 'installed', lambda: True)
  assert pytorch.why_not(level, length=length, dropout=dropout) == reason
  monkeypatch.setattr(pytorch, 'installed', lambda: False)
  assert 'not installed' in pytorch.why_not(level, length=length, dropout=0)


@pytest.mark.skipif(not pytorch.installed(), reason='needs the extra torch')
@pytest.mark.parametrize('what', ['step', 'gradient', 'forward'])
def test_runs_the_package(what):
  level = hierarchy.parse('1@1 2@2 1@4 1@2 0@1')
  child = pytorch.Child(what, level, **SIZES)
  try:
    assert child() > 0 < child.facts['to_end_of_first_step']
    # Four blocks and four resamplers, each of 12 d^2 + 10 d weights.
    blocks = 4 + 1 + 4
    assert child.facts['weights'] == (
      blocks * (12 * 8**2 + 10 * 8) + 2 * 256 * 8 + 256 + 8 * 8 + 2 * 8
    )
    json.dumps(child.facts)
  finally:
    child.close()
