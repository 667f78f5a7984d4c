"""Tests of the pictures."""

import math

from matplotlib import figure
from matplotlib import text as mpl_text
import pytest
from trax.supervised import history as trax_history

from trax_hourglass.layers.metrics import Measure
from trax_hourglass.training import learning_curves, reports


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
  curves = learning_curves.curves(_history(eval_metric))
  assert set(curves) == {'train', 'validation'}
  for curve in curves.values():
    assert [step for step, _ in curve] == [1, 100, 200]
    assert [bits for _, bits in curve] == pytest.approx([8, 4, 3])


def test_learning_curves_of_images():
  history = _history('loss')
  history.append('eval', 'metrics/bits_per_dim', 300, 2.5)
  measure = Measure('bits per dim')
  assert learning_curves.curves(history, measure)['validation'] == [(300, 2.5)]


def test_no_curve_where_nothing_is_known():
  history = trax_history.History()
  history.append('eval', 'metrics/accuracy', 1, 0.5)
  assert learning_curves.curves(history) == {}


@pytest.mark.parametrize('history', [_history('loss'), trax_history.History()])
def test_writes_a_picture(tmp_path, history):
  path = tmp_path / 'curve.png'
  learning_curves.plot(history, str(path))
  assert path.read_bytes().startswith(b'\x89PNG')


def test_the_picture_says_on_which_images(tmp_path, monkeypatch):
  texts = []
  monkeypatch.setattr(
    figure.Figure,
    'savefig',
    lambda self, *args, **kwargs: texts.extend(
      text.get_text() for text in self.findobj(mpl_text.Text)
    ),
  )
  measure = Measure('bits per dim', 'the old set', 'a note')
  path = tmp_path / 'curve.png'
  learning_curves.plot(_history('loss'), str(path), measure)
  assert {'bits per dim', 'the old set\na note'} <= set(texts)


def test_no_figure_where_all_steps_were_skipped(tmp_path, monkeypatch):
  assert reports.format_loss(math.nan, Measure()) == 'loss n/a'
  pictures = []
  monkeypatch.setattr(
    figure.Figure, 'savefig', lambda self, *_, **__: pictures.append(self)
  )
  history = _history('loss')
  history.append('train', 'metrics/Loss', 300, math.nan)
  learning_curves.plot(history, str(tmp_path / 'curve.png'))
  [axes] = pictures[0].axes
  labels = [line.get_label() for line in axes.lines]
  assert labels == ['train, n/a', 'validation, 3.000']
