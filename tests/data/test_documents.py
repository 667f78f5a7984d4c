"""Corpora of documents, in files of their own and in JSON Lines."""

import glob
import gzip
import json
import os
import pathlib
import shutil
import tracemalloc

import numpy as np
import pytest

from trax_hourglass import addresses
from trax_hourglass.data import archives, documents, streams
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


@pytest.mark.parametrize('pattern', [None, 3, ['a.txt', 'b.txt']])
@pytest.mark.parametrize(
  ('read', 'name'),
  [(documents.text_files, 'pattern'), (documents.jsonl_documents, 'path')],
)
def test_bad_patterns(tmp_path, read, name, pattern):
  with pytest.raises(UserError, match=f'^{name}: got .* a file or a pattern'):
    read(pattern, cache_dir=tmp_path)


def test_a_file_whose_name_is_a_pattern(tmp_path):
  path = tmp_path / 'wiki[en]?.txt'
  path.write_bytes(b'one')
  read = documents.text_files(str(path), tmp_path)
  assert _contents(read) == [b'one']


def test_each_folder_is_read_once(corpus):
  """Whichever links lead to a folder. A file that is linked counts twice."""
  (corpus / 'a').symlink_to(corpus)
  (corpus / 'sub' / 'up').symlink_to(corpus)
  (corpus / 'z').symlink_to(corpus / 'sub')
  (corpus / 'twice.txt').symlink_to(corpus / '0.txt')
  assert sorted(_contents(_read(corpus))) == sorted([*TEXTS, TEXTS[0]])


@pytest.mark.parametrize(
  ('pattern', 'expected'),
  [
    ('**', ['0', '1', '2', '3', '4']),
    ('**/', []),
    ('**/*.txt', ['0', '1', '2', '3', '4']),
    ('s*/**/*.txt', ['1', '3']),
    ('**/sub/**/[13].txt', ['1', '3']),
    ('**/**/1.txt', ['1']),
    ('sub**/*.txt', ['1', '3']),
    ('**.txt', ['0', '2', '4']),
  ],
)
@pytest.mark.parametrize('is_relative', [False, True])
def test_patterns_match_what_glob_does(
  corpus, monkeypatch, pattern, expected, is_relative
):
  (corpus / 'empty.txt').unlink()
  (corpus / '.hidden').mkdir()
  (corpus / '.hidden' / '9.txt').touch()
  monkeypatch.chdir(corpus)
  pattern = pattern if is_relative else f'{corpus}/{pattern}'
  found = sorted(set(documents._matching(pattern)))
  globbed = sorted(set(filter(os.path.isfile, glob.glob(pattern, recursive=1))))
  assert found == globbed
  assert sorted(pathlib.Path(path).stem for path in found) == expected


def test_a_folder_that_cannot_be_read_is_named(corpus, unreadable):
  unreadable('sub')
  with pytest.raises(UserError, match='/sub: cannot be read .Permission denie'):
    _read(corpus)


def test_a_link_to_nowhere_is_named(corpus):
  (corpus / 'gone.txt').symlink_to(corpus / 'nowhere')
  with pytest.raises(UserError, match='gone.txt: cannot be read .No such file'):
    _read(corpus)


def _prepared(corpus):
  """Returns the path of the file that a corpus is read into."""
  _read(corpus)
  [path] = (corpus.parent / 'cache').iterdir()
  return path


@pytest.mark.parametrize('n_zeros', [0, 8, 400])
def test_a_damaged_cache_is_named(corpus, n_zeros):
  """Cut off anywhere, then filled up with zeros."""
  path = _prepared(corpus)
  whole = path.read_bytes()
  for n_bytes in (*range(0, len(whole), 43), len(whole) - 1):
    path.write_bytes(whole[:n_bytes] + bytes(n_zeros))
    with pytest.raises(UserError, match='got a damaged file, .* delete it'):
      _read(corpus)
  path.unlink()
  assert sorted(_contents(_read(corpus))) == sorted(TEXTS)


def test_a_full_disk_is_left_as_it_was(corpus, disk):
  (corpus / 'long.txt').write_bytes(bytes(9000))
  disk(4000)
  with pytest.raises(UserError, match='^cache_dir: cannot wr.*File too la'):
    _read(corpus)
  disk()
  assert not (corpus.parent / 'cache').exists()


def test_copies_of_a_corpus_at_an_address_may_be_deleted(corpus, bucket):
  """It is then neither copied nor read again."""
  bucket.put(f'{corpus}/', '/b/corpus/', recursive=True)
  pattern, cache = 'memory://b/corpus/**/*.txt', corpus.parent / 'cache'
  documents.text_files(pattern, cache)
  shutil.rmtree(addresses.CACHE)
  read = documents.text_files(pattern, cache)
  assert sorted(_contents(read)) == sorted(TEXTS)
  assert len(os.listdir(cache)) == 1
  assert not os.path.exists(addresses.CACHE)


def test_errors_name_the_address(bucket, tmp_path):
  bucket.pipe('/b/a.jsonl', b'text')
  with pytest.raises(UserError, match='^memory://.?b/a.jsonl, line 1: expect'):
    documents.jsonl_documents('memory://b/*.jsonl', cache_dir=tmp_path)


def test_a_document_takes_nine_bytes_of_memory(tmp_path):
  n = 20_000
  tracemalloc.start()
  try:
    documents._write(tmp_path / 'part', 'a', 'a', lambda path: [b'text'] * n)
    _, peak = tracemalloc.get_traced_memory()
  finally:
    tracemalloc.stop()
  # Beside the list of texts. Arrays grow by an eighth.
  assert peak < n * (8 + 9 * 9 / 8) + 100_000
