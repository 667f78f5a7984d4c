"""Texts, their files and splits, and the inputs that train on them."""

import gzip
import itertools
import lzma
import zipfile

import numpy as np
import pytest

from trax_hourglass.data import text as text_lib
from trax_hourglass.data import windows
from trax_hourglass.errors import UserError

CONTENT = b'<page>\n  <title>Hourglass</title>\n'


def _sizes(text):
  return [len(text.split(name)) for name in ('train', 'validation', 'test')]


def test_wikipedia_sample_is_complete():
  text = text_lib.wikipedia_sample()
  assert _sizes(text) == [4_500_000, 250_000, 250_000]
  assert text.train[:10].tobytes() == b'<mediawiki'
  assert text.train.dtype == np.uint8


def test_splits_are_consecutive():
  text = text_lib.Text.from_bytes('letters', bytes(range(43)))
  assert _sizes(text) == [38, 2, 3]
  parts = [text.train, text.validation, text.test]
  np.testing.assert_array_equal(np.concatenate(parts), np.arange(43))


def test_unknown_split():
  text = text_lib.Text.from_bytes('letters', CONTENT)
  with pytest.raises(UserError, match="got 'tset', expected one of"):
    text.split('tset')


def _write(path, content):
  if path.suffix == '.zip':
    with zipfile.ZipFile(path, 'w') as archive:
      archive.writestr('folder/', '')
      archive.writestr('folder/text', content)
  else:
    openers = {'.gz': gzip.open, '.xz': lzma.open}
    with openers.get(path.suffix, open)(path, 'wb') as file:
      file.write(content)
  return path


@pytest.mark.parametrize('name', ['a.txt', 'a', 'a.gz', 'a.XML.xz', 'a.zip'])
def test_text_file_reads_and_unpacks(tmp_path, name):
  text = text_lib.text_file(_write(tmp_path / name, CONTENT))
  assert text.name == name
  parts = [text.train, text.validation, text.test]
  assert np.concatenate(parts).tobytes() == CONTENT


def _truncated(path):
  path.write_bytes(_write(path, 99 * CONTENT).read_bytes()[:-30])


def _two_members(path):
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('a', CONTENT)
    archive.writestr('b', CONTENT)


@pytest.mark.parametrize(
  ('name', 'make', 'message'),
  [
    ('a', lambda path: None, 'cannot be read .No such file'),
    ('a', lambda path: path.mkdir(), 'cannot be read .Is a directory'),
    ('a', lambda path: path.touch(), 'got an empty file, expected some text'),
    ('a.zip', lambda path: path.touch(), 'got a broken or truncated file'),
    ('a.zip', _truncated, 'got a broken or truncated file'),
    ('a.gz', _truncated, 'got a broken or truncated file'),
    ('a.xz', _truncated, 'got a broken or truncated file'),
    ('a.gz', lambda path: path.write_bytes(CONTENT), 'got a broken'),
    ('a.zip', _two_members, 'got 2 files in the zip, expected one'),
  ],
)
def test_text_file_errors(tmp_path, name, make, message):
  path = tmp_path / name
  make(path)
  with pytest.raises(UserError, match=message) as error:
    text_lib.text_file(path)
  assert str(path) in str(error.value)
  assert '\n' not in str(error.value)


@pytest.fixture(name='text')
def _text():
  tokens = np.arange(1, 201, dtype=np.uint8)
  return text_lib.Text('numbers', tokens[:140], tokens[140:153], tokens[153:])


def test_text_inputs_for_train(text):
  inputs = text_lib.text_inputs(
    text, length=11, batch_size=6, eval_length=5, eval_batch_size=2, seed=3
  )
  assert inputs.input_shape == (11,)
  assert inputs.input_dtype == np.int32
  for n_devices in (1, 2):
    expected = windows.random_windows(text.train, 11, 6, seed=3)
    batches = zip(inputs.train_stream(n_devices), expected, strict=False)
    for batch, expected_batch in itertools.islice(batches, 3):
      np.testing.assert_array_equal(batch, expected_batch)


def test_text_inputs_at_a_stride(text):
  inputs = text_lib.text_inputs(text, length=11, batch_size=3, stride=4)
  starts = [next(inputs.train_stream(1))[0][:, 0] for _ in range(2)]
  np.testing.assert_array_equal(*starts)
  np.testing.assert_array_equal(starts[0] % 4, 1)


def test_text_inputs_repeats_the_whole_validation_split(text):
  inputs = text_lib.text_inputs(
    text, length=11, batch_size=6, eval_length=5, eval_batch_size=2
  )
  stream = inputs.eval_stream(2)
  for _ in range(3):
    batches = [next(stream), next(stream)]
    scored = [x[weights > 0] for x, _, weights in batches]
    np.testing.assert_array_equal(np.concatenate(scored), text.validation)


def test_evaluation_sizes_default_to_those_of_training(text):
  inputs = text_lib.text_inputs(text, length=11, batch_size=3)
  assert next(inputs.eval_stream(3))[0].shape == (3, 11)


def test_text_inputs_batch_is_shared_out_among_devices(text):
  inputs = text_lib.text_inputs(
    text, length=11, batch_size=6, eval_batch_size=4
  )
  with pytest.raises(UserError, match=r'^batch_size: got 6, .* the 4 devices'):
    inputs.train_stream(4)
  with pytest.raises(UserError, match=r'^eval_batch_size: got 4, .* 3 devices'):
    inputs.eval_stream(3)


def _inputs(**changes):
  text = text_lib.Text.from_bytes('numbers', bytes(range(200)))
  sizes = {'length': 7, 'batch_size': 3} | changes
  return lambda: text_lib.text_inputs(text, **sizes)


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (
      _inputs(length=181, eval_length=5),
      'train split of numbers: got 180 bytes, expected at least one window',
    ),
    (_inputs(length=11), 'validation split of numbers: got 10 bytes'),
    (_inputs(batch_size=-3), 'batch_size: got -3, expected'),
    (_inputs(eval_length=0), 'eval_length: got 0, expected'),
    (_inputs(eval_batch_size=0), 'eval_batch_size: got 0, expected'),
    (_inputs(stride=8), 'stride: got 8, expected at most the length, 7'),
  ],
)
def test_sizes_are_checked_before_the_first_batch(make, message):
  with pytest.raises(UserError, match=r'^' + message) as error:
    make()
  assert '\n' not in str(error.value)


def test_each_evaluation_sees_the_same_text():
  content = np.arange(4000, dtype=np.uint64).astype(np.uint8).tobytes()
  text = text_lib.Text.from_bytes('text', content)
  inputs = text_lib.text_inputs(text, 5, 2, eval_length=7, eval_batches=3)
  stream = inputs.eval_stream(1)
  first, second = (
    [next(stream)[0].tolist() for _ in range(3)] for _ in range(2)
  )
  assert first == second
  assert np.ravel(first).tolist() == text.validation[:42].tolist()
