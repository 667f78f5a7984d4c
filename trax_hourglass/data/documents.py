"""Corpora of documents, read once into a memory-mapped file."""

import array
import bisect
from collections.abc import Callable, Iterable, Iterator
import dataclasses
import functools
import glob
import hashlib
import json
import os
import re
from typing import ClassVar

import numpy as np
import tqdm

from trax_hourglass import addresses
from trax_hourglass.data import archives, files, streams
from trax_hourglass.errors import UserError

# The two parts of a pattern, before and after its first `**`.
_RECURSIVE = re.compile(r'(|.*?/)\*\*(?:/+(.*))?', re.DOTALL)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Documents:
  """Documents in three splits.

  Attributes:
    name: The name of the corpus.
    content: The bytes of all documents, uint8, which may be memory-mapped.
    edges: Where documents start in `content`, and where the last one ends.
    splits: For each document the index of its split in `streams.SPLITS`.
    unit: What a model's cross-entropy is reported in.
  """

  unit: ClassVar[str] = 'bits per byte'

  name: str
  content: np.ndarray
  edges: np.ndarray
  splits: np.ndarray

  def __repr__(self):
    return f'Documents({self.name!r})'

  def split(self, name: str) -> np.ndarray:
    """Returns the numbers of the documents in a split.

    Raises:
      UserError: If there is no such split, or it is empty.
    """
    streams.check_split(name)
    [numbers] = np.nonzero(self.splits == streams.SPLITS.index(name))
    if not len(numbers):
      raise UserError(
        f'{name} split of {self.name}: got 0 of {len(self.splits):,} '
        'documents, expected at least 1; give more documents'
      )
    return numbers

  def joined(
    self, split: str | None, n_bytes: int | None = None
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns the documents of a split, one after another, and their edges.

    Args:
      split: Its name; `None` stands for all documents.
      n_bytes: Number of bytes to return from the start; by default all.

    Raises:
      UserError: As for `split`.
    """
    if split is None:
      numbers = np.arange(len(self.splits))
    else:
      numbers = self.split(split)
    starts = self.edges[numbers]
    edges = np.append(0, np.cumsum(self.edges[numbers + 1] - starts))
    if n_bytes is not None:
      edges = edges[: np.searchsorted(edges, n_bytes) + 1]
      edges = np.minimum(edges, n_bytes)
    content = np.asarray(self.content)  # A memory map is slow to slice.
    if split is None:  # All are one after another as they are.
      return content[: edges[-1]], edges
    sizes = np.diff(edges)
    parts = [content[i : i + n] for i, n in zip(starts, sizes, strict=False)]
    return np.concatenate(parts), edges


def text_files(
  pattern: str, cache_dir: str | os.PathLike = files.CACHE
) -> Documents:
  """Returns the files that match a pattern, each of them one document.

  A hash of its content puts a document into a split: 90% are for training, 5%
  for validation and 5% for testing, copies are in the same split, and a corpus
  that grows keeps its splits. All are written to a file in `cache_dir` that is
  mapped into memory, and made again when a file has changed.

  Args:
    pattern: For example `'corpus/**/*.txt'`, where `**` stands for any folders,
      linked ones too, each of them once. Compressed files are unpacked, and
      addresses read, as by `text_file`.
    cache_dir: A writable folder.

  Raises:
    UserError: If no file matches, all are empty, or one cannot be read.
  """
  return _documents(
    'pattern',
    pattern,
    cache_dir,
    'text',
    lambda path: [archives.read_bytes(path)],
  )


def jsonl_documents(
  path: str,
  field: str = 'text',
  cache_dir: str | os.PathLike = files.CACHE,
) -> Documents:
  """Returns the documents in JSON Lines, one a line, as `text_files` does.

  Args:
    path: A file, or a pattern that several match; they may be compressed.
    field: The field of each line's object that holds the text.
    cache_dir: A writable folder.

  Raises:
    UserError: If no file matches, one cannot be read, or a line is not a JSON
      object with a text in that field.
  """
  read = functools.partial(_read_jsonl, field=field)
  return _documents('path', path, cache_dir, f'jsonl {field}', read)


def _documents(name, pattern, cache_dir, kind, read) -> Documents:
  """Returns documents, read from files that match unless they were before."""
  if not isinstance(pattern, str | os.PathLike):
    raise UserError(
      f'{name}: got {pattern!r}, expected the name of a file or a pattern'
    )
  if addresses.is_address(pattern):
    states = addresses.matching(pattern)
  else:
    pattern = os.path.expanduser(pattern)
    states = {path: _state(path) for path in sorted(set(_matching(pattern)))}
  if not states:
    raise UserError(
      f'{pattern}: got no file, expected at least one that matches'
    )
  state = list(states.values())
  key = hashlib.sha256(repr((kind, state)).encode()).hexdigest()[:16]
  prepared = os.path.join(
    files.folder('cache_dir', cache_dir), f'documents-{key}.bin'
  )
  files.make_once(
    prepared, lambda part: _write(part, pattern, states, read), 'cache_dir'
  )
  with files.reading(prepared):
    try:
      return Documents(pattern, *_read(prepared))
    except (ValueError, EOFError) as error:
      raise files.damaged(prepared, f'the documents of {pattern}') from error


def _matching(pattern):
  """Yields the files that match a pattern, and links that lead nowhere.

  Where `**` stands for folders, `glob` would pass over those that cannot be
  read, and follow a link to a folder above it again and again.
  """
  recursive = _RECURSIVE.fullmatch(pattern)
  if os.path.isfile(pattern):  # Its name may have brackets in it.
    yield pattern
  elif recursive:
    before, after = recursive.groups(default='*')
    for root in glob.glob(before or './'):
      for folder, _ in files.walk(root):
        folder = glob.escape(folder.removeprefix('./'))
        yield from _matching(os.path.join(folder, after))
  else:
    for path in glob.glob(pattern):
      if os.path.isfile(path) or not os.path.exists(path):
        yield path


def _state(path):
  """Returns a file's path, size and time, which tell whether it changed."""
  with files.reading(path):
    status = os.stat(path)
  return path, status.st_size, status.st_mtime_ns


def _write(part, pattern, paths, read: Callable[[str], Iterable[bytes]]):
  """Writes all bytes, the arrays of edges and splits, and where those begin."""
  edges, splits = array.array('q', [0]), bytearray()  # Of a billion documents.
  with files.created(part) as file:
    for path in tqdm.tqdm(paths, pattern, disable=None):
      for document in filter(None, read(path)):
        file.write(document)
        edges.append(edges[-1] + len(document))
        splits.append(_split(document))
    if not splits:
      raise UserError(f'{pattern}: got no text, expected at least one document')
    np.save(file, np.frombuffer(edges, np.int64))
    np.save(file, np.frombuffer(splits, np.uint8))
    file.write(edges[-1].to_bytes(8, 'little'))


def _read(prepared):
  """Returns the bytes, the edges and the splits that `_write` has written."""
  with open(prepared, 'rb') as file:
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - 8))
    n_bytes = int.from_bytes(file.read(), 'little')
    file.seek(min(n_bytes, size))
    edges, splits = np.load(file), np.load(file)
  if edges[-1] != n_bytes or len(edges) != len(splits) + 1:
    raise ValueError('edges and splits do not fit')
  return np.memmap(prepared, np.uint8, 'r', shape=(n_bytes,)), edges, splits


def _split(document: bytes) -> int:
  """Returns the index of a document's split, by a hash of its content."""
  digest = hashlib.blake2b(document, digest_size=8).digest()
  return bisect.bisect([90, 95], int.from_bytes(digest) % 100)


def _read_jsonl(path, field) -> Iterator[bytes]:
  """Yields the documents in a file of JSON Lines."""
  with archives.opened(path) as file:
    for number, line in enumerate(file, 1):
      if not line.strip():
        continue
      if number == 1:
        files.check_not_utf16(path, line)
      try:
        text = json.loads(line)[field].encode()
      except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])
        raise UserError(
          f'{path}, line {number}: got {half} in {field!r}, half of a '
          'surrogate pair, which UTF-8 cannot encode; correct or remove it'
        ) from error
      except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
          f'{path}, line {number}: expected a JSON object with a text in '
          f'{field!r}; correct it or set field'
        ) from error
      yield text
