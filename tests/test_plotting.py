"""Tests of the pictures."""

import math

import pytest
from trax.supervised import history as trax_history

from trax_hourglass import plotting


def _history(eval_metric):
  history = trax_history.History()
  for step, bits in ((1, 8), (100, 4), (200, 3)):
    history.append('train', 'metrics/Loss', step, bits * math.log(2))
    history.append('train', 'training/learning_rate', step, 0.1)
    history.append('eval', 'metrics/accuracy', step, 0.5)
    in_bits = eval_metric == 'bits_per_byte'
    value = bits if in_bits else bits * math.log(2)
    history.append('eval', f'metrics/{eval_metric}', step, value)
  return history


@pytest.mark.parametrize('eval_metric', ['bits_per_byte', 'loss'])
def test_learning_curves_are_in_bits(eval_metric):
  curves = plotting.learning_curves(_history(eval_metric))
  assert set(curves) == {'train', 'validation'}
  for curve in curves.values():
    assert [step for step, _ in curve] == [1, 100, 200]
    assert [bits for _, bits in curve] == pytest.approx([8, 4, 3])


def test_no_curve_where_nothing_is_known():
  history = trax_history.History()
  history.append('eval', 'metrics/accuracy', 1, 0.5)
  assert plotting.learning_curves(history) == {}


@pytest.mark.parametrize('history', [_history('loss'), trax_history.History()])
def test_writes_a_picture(tmp_path, history):
  path = tmp_path / 'curve.png'
  plotting.plot_learning_curve(history, str(path))
  assert path.read_bytes().startswith(b'\x89PNG')
