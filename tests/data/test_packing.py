"""Windows packed with documents."""

import itertools

import numpy as np
import pytest

from trax_hourglass.data import documents, packing
from trax_hourglass.errors import UserError

TEXTS = [b'one', b'two two', b'3', b'four, four', b'five']


def _documents(texts, n_validation=0):
  edges = np.cumsum([0, *map(len, texts)])
  splits = np.zeros(len(texts), np.uint8)
  splits[len(texts) - n_validation :] = 1
  content = np.frombuffer(b''.join(texts), np.uint8)
  return documents.Documents('texts', content, edges, splits)


def test_evaluation_windows_are_packed():
  """Of 8 bytes, with documents of 3, 7, 1, 10 and 4 bytes at multiples of 2."""
  corpus = _documents([b'train', *TEXTS], n_validation=5)
  inputs = packing.document_inputs(
    corpus, 8, 3, total_shorten_factor=2, segments=True
  )
  stream = inputs.eval_stream(1)
  for _ in range(2):
    batches = [next(stream), next(stream)]
    tokens, segments, targets, weights = map(
      np.concatenate, zip(*batches, strict=True)
    )
    assert [bytes(row.tolist()) for row in tokens] == [
      b'one\0two ',
      b'two\x003\0fo',
      b'ur, four',
      b'five\0\0\0\0',
      bytes(8),
      bytes(8),
    ]
    np.testing.assert_array_equal(
      segments[:4],
      [
        [1, 1, 1, 0, 2, 2, 2, 2],
        [1, 1, 1, 0, 2, 0, 3, 3],
        [1] * 8,
        [1] * 4 + [0] * 4,
      ],
    )
    np.testing.assert_array_equal(targets, tokens)
    np.testing.assert_array_equal(weights, segments > 0)
    assert (tokens.dtype, segments.dtype) == (np.int32, np.int32)
    assert weights.dtype == np.float32


@pytest.mark.parametrize('factor', [1, 3])
def test_each_pass_has_each_document_once_and_apart(factor):
  rng = np.random.default_rng(0)
  texts = [bytes([i + 1]) * n for i, n in enumerate(rng.integers(1, 40, 50))]
  corpus = _documents([*texts, b'validation'], n_validation=1)
  inputs = packing.document_inputs(
    corpus, 12, 5, total_shorten_factor=factor, segments=True, seed=3
  )
  padded = sum(-(-len(x) // factor) * factor for x in texts)
  n_windows = -(-padded // 12)
  batches = list(itertools.islice(inputs.train_stream(1), n_windows))
  windows, segments, _, weights = map(
    np.concatenate, zip(*batches, strict=True)
  )
  orders = []
  for one in range(5):
    rows = slice(one * n_windows, (one + 1) * n_windows)
    content = windows[rows][weights[rows] > 0].astype(np.uint8).tobytes()
    runs = [bytes(run) for _, run in itertools.groupby(content)]
    assert sorted(runs) == sorted(texts)
    orders.append(runs)
  assert len(set(map(tuple, orders))) == 5
  for window, segment in zip(windows, segments, strict=True):
    assert len(set(zip(window, segment, strict=True))) == len(set(window))
  groups = windows.reshape(-1, factor)
  assert all(len(set(group) - {0}) <= 1 for group in groups)


def test_skipped_windows_are_those_that_are_drawn():
  corpus = _documents(TEXTS, n_validation=1)
  inputs = packing.document_inputs(corpus, 4, 3)
  drawn, skipped = inputs.train_stream(1), inputs.train_stream(1)
  for n in (0, 1, 7):
    for _ in range(n):
      next(drawn)
    skipped.skip(n)
    for x, y in zip(next(drawn), next(skipped), strict=True):
      np.testing.assert_array_equal(x, y)
  skipped.skip_examples(4)  # Of batches of 3.
  next(drawn)
  for x, y in zip(next(drawn), next(skipped), strict=True):
    np.testing.assert_array_equal(x[1:], y[:2])


def test_cost_of_padding_is_printed(capsys):
  packing.document_inputs(
    _documents(TEXTS, n_validation=1), 8, 1, total_shorten_factor=4
  )
  assert capsys.readouterr().out == (
    'texts: 4 documents, padded by 33.33% to multiples of 4\n'
  )


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'documents': 'corpus'}, "documents: got 'corpus', expected Documents"),
    ({'documents': _documents(TEXTS)}, 'validation split of texts: got 0 of 5'),
    ({'length': 9}, 'length: got 9, expected a multiple of the total shorten'),
    ({'total_shorten_factor': 0}, 'total_shorten_factor: got 0'),
    ({'batch_size': 0}, 'batch_size: got 0'),
    ({'eval_batches': 0}, 'eval_batches: got 0'),
    ({'seed': -1}, 'seed: got -1'),
  ],
)
def test_bad_arguments(changes, message):
  corpus = _documents(TEXTS, n_validation=1)
  arguments = {'documents': corpus, 'length': 8, 'batch_size': 2}
  arguments |= {'total_shorten_factor': 2} | changes
  with pytest.raises(UserError, match=message) as error:
    packing.document_inputs(**arguments)
  assert '\n' not in str(error.value)
