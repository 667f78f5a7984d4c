"""Corpora of documents, and windows packed with them."""

import gzip
import itertools
import json

import numpy as np
import pytest

from trax_hourglass.data import archives, documents, packing, streams
from trax_hourglass.errors import UserError

TEXTS = [b'one', b'two two', b'3', b'four, four', b'five']


def _contents(corpus, numbers=None):
  numbers = range(len(corpus.splits)) if numbers is None else numbers
  return [
    corpus.content[corpus.edges[i] : corpus.edges[i + 1]].tobytes()
    for i in numbers
  ]


@pytest.fixture(name='corpus')
def _corpus(tmp_path):
  """A folder with `TEXTS` in files, one of them compressed."""
  for i, text in enumerate(TEXTS):
    path = tmp_path / 'corpus' / ('sub' * (i % 2)) / f'{i}.txt'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text) if i == 2 else text)
  (tmp_path / 'corpus' / 'empty.txt').touch()
  return tmp_path / 'corpus'


def _read(corpus, pattern='**/*.txt'):
  return documents.text_files(str(corpus / pattern), corpus.parent / 'cache')


def test_text_files_are_read_once(corpus, monkeypatch):
  read = _read(corpus)
  assert sorted(_contents(read)) == sorted(TEXTS)
  assert isinstance(read.content, np.memmap)
  assert sorted(_contents(_read(corpus, '*.txt'))) == [b'3', b'five', b'one']
  (corpus / '0.txt').write_bytes(b'changed')
  assert b'changed' in _contents(_read(corpus))
  monkeypatch.setattr(archives, 'read_bytes', None)
  assert b'changed' in _contents(_read(corpus))


def test_text_files_at_an_address(corpus, bucket):
  bucket.put(f'{corpus}/', '/b/corpus/', recursive=True)
  pattern, cache = 'memory://b/corpus/**/*.txt', corpus.parent / 'cache'
  read = documents.text_files(pattern, cache)
  assert sorted(_contents(read)) == sorted(TEXTS)
  bucket.pipe('/b/corpus/0.txt', b'two')  # As many bytes as before.
  assert b'two' in _contents(documents.text_files(pattern, cache))
  with pytest.raises(UserError, match='^memory://b/.*: got no file'):
    documents.text_files('memory://b/*.jsonl', cache)


@pytest.mark.parametrize('name', ['a.jsonl', 'a.jsonl.gz'])
def test_jsonl_documents(tmp_path, name):
  lines = [json.dumps({'id': 3, 'body': x.decode()}) for x in TEXTS]
  content = '\n'.join([lines[0], '', *lines[1:]]).encode()
  (tmp_path / name).write_bytes(
    gzip.compress(content) if name.endswith('gz') else content
  )
  read = documents.jsonl_documents(str(tmp_path / name), 'body', tmp_path)
  assert _contents(read) == TEXTS


def test_splits_follow_from_content(tmp_path):
  """Whatever else is in the corpus; copies are in the same split."""

  def splits(texts):
    path = tmp_path / 'a.jsonl'
    path.write_text('\n'.join(json.dumps({'text': text}) for text in texts))
    read = documents.jsonl_documents(str(path), cache_dir=tmp_path)
    return {
      name: set(_contents(read, read.split(name))) for name in streams.SPLITS
    }

  texts = [str(i) for i in range(2000)]
  some, more = splits(texts[:1000] * 2), splits(texts)
  sizes = [len(some[name]) for name in streams.SPLITS]
  assert sum(sizes) == 1000
  np.testing.assert_allclose(sizes, [900, 50, 50], atol=30)
  for name in streams.SPLITS:
    assert some[name] < more[name]


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (None, 'got no file, expected at least one that matches'),
    ('{"text": "a"}\n'.encode('utf-16'), 'got UTF-16, expected UTF-8; conv'),
    ('\n', 'got no text, expected at least one document'),
    ('{"text": "a"}\n{"body": "a"}', 'line 2: expected a JSON object with a t'),
    ('{"text": 3}', 'line 1: expected a JSON object'),
    ('["text"]', 'line 1: expected a JSON object'),
    ('text', "line 1: .* in 'text'; correct it or set field"),
    (
      r'{"text": "a\ud83d"}',
      r"line 1: got '\\ud83d' in 'text', half of a surr",
    ),
  ],
)
def test_bad_jsonl(tmp_path, content, message):
  path = tmp_path / 'a.jsonl'
  if content is not None:
    is_text = isinstance(content, str)
    path.write_bytes(content.encode() if is_text else content)
  with pytest.raises(UserError, match=message) as error:
    documents.jsonl_documents(str(path), cache_dir=tmp_path / 'cache')
  assert str(path) in str(error.value)
  assert '\n' not in str(error.value)


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
