"""Texts as arrays of bytes, with splits, and the inputs that train on them."""

import dataclasses
import importlib.resources
import lzma
import os
from typing import ClassVar

import numpy as np
from trax.data import inputs as trax_inputs

from trax_hourglass.data import archives, streams, windows
from trax_hourglass.errors import UserError, check_positive

_SAMPLE_BYTES = 5_000_000


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Text:
  """A text in three parts, each a 1-D array of uint8.

  Attributes:
    unit: What a model's cross-entropy is reported in.
  """

  unit: ClassVar[str] = 'bits per byte'

  name: str
  train: np.ndarray
  validation: np.ndarray
  test: np.ndarray

  def __repr__(self):
    return f'Text({self.name!r})'

  @classmethod
  def from_bytes(cls, name: str, content: bytes) -> 'Text':
    """Splits `content` as enwik8 is split: the first 90%, then 5%, then 5%."""
    return cls(name, *streams.split(np.frombuffer(content, np.uint8)))

  def split(self, name: str) -> np.ndarray:
    """Returns the part called 'train', 'validation' or 'test'."""
    streams.check_split(name)
    return getattr(self, name)


def wikipedia_sample() -> Text:
  """Returns the embedded 5,000,000 bytes of a Wikipedia dump."""
  sample = importlib.resources.files(__package__) / 'samples/wikipedia.xml.xz'
  content = lzma.decompress(sample.read_bytes())
  assert len(content) == _SAMPLE_BYTES, len(content)
  return Text.from_bytes('wikipedia sample', content)


def text_file(path: str | os.PathLike) -> Text:
  """Returns the text in a file, unpacked if it is compressed.

  Its first bytes tell the format: gzip, bzip2, xz, lzma, zstd, a zip or tar of
  one file, or any of these inside another. It may be at an address, such as
  `gs://bucket/book.txt.xz`; see `trax_hourglass.addresses`. It is held in
  memory; larger ones can be read as documents, see `documents.text_files`.

  Raises:
    UserError: If the file is missing, broken or empty, or an archive of another
      format or of several files.
  """
  content = archives.read_bytes(path)
  if not content:
    raise UserError(f'{path}: got an empty file, expected some text')
  return Text.from_bytes(os.path.basename(path), content)


def text_inputs(
  text: Text,
  length: int,
  batch_size: int,
  eval_length: int | None = None,
  eval_batch_size: int | None = None,
  eval_batches: int | None = None,
  stride: int | None = None,
  seed: int = 0,
) -> trax_inputs.Inputs:
  """Returns the `inputs` of Trax's `train`.

  Training batches come from the train split. Each evaluation of a run has the
  same batches: chunks of the validation split, from its start, without context.

  Args:
    text: The text with its splits.
    length: Bytes in a window.
    batch_size: Windows in a batch, over all devices.
    eval_length: Bytes in a chunk, `length` by default.
    eval_batch_size: Chunks in a batch, `batch_size` by default.
    eval_batches: Most batches in an evaluation; by default all, the last of
      which may be partly empty.
    stride: Bytes between the starts of windows; random offsets by default.
    seed: Seed of the choice of windows.

  Raises:
    UserError: If an argument is out of range, a split is shorter than a window,
      or a batch cannot be shared out evenly among the devices.
  """
  check_text(text)
  eval_length = length if eval_length is None else eval_length
  check_positive(length=length, eval_length=eval_length)
  streams.check_seed(seed)
  windows.check_fits(text.train, length, f'train split of {text.name}')
  windows.check_fits(
    text.validation, eval_length, f'validation split of {text.name}'
  )

  def train():
    if stride is None:
      return windows.random_windows(text.train, length, batch_size, seed)
    return windows.strided_windows(text.train, length, stride, batch_size, seed)

  return streams.inputs(
    train,
    lambda size: windows.scoring_windows(
      text.validation, eval_length, None, size
    ),
    -(-len(text.validation) // eval_length),
    batch_size,
    eval_batch_size,
    eval_batches,
  )


def check_text(text) -> None:
  """Raises `UserError` unless `text` is a `Text`."""
  if not isinstance(text, Text):
    raise UserError(
      f'text: got {text!r}, expected a Text, such as '
      '@trax_hourglass.wikipedia_sample()'
    )
