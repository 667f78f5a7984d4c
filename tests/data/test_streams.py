"""Skipping batches of a stream leads where drawing them does."""

import time

import numpy as np
import pytest

from trax_hourglass.data import images, streams, text


def _text_stream(**kwargs):
  content = np.random.default_rng(0).bytes(400)
  inputs = text.text_inputs(
    text.Text.from_bytes('t', content), length=7, batch_size=3, **kwargs
  )
  return lambda: inputs.train_stream(1)


def _eval_stream(**kwargs):
  content = np.random.default_rng(0).bytes(1000)
  inputs = text.text_inputs(
    text.Text.from_bytes('t', content), length=7, batch_size=3, **kwargs
  )
  return lambda: inputs.eval_stream(1)


def _image_stream(**kwargs):
  inputs = images.image_inputs(images.photos32(), batch_size=100, **kwargs)
  return lambda: inputs.train_stream(1)


@pytest.mark.parametrize(
  'make_stream',
  [
    _text_stream(),
    _text_stream(stride=5),
    _eval_stream(),
    _eval_stream(eval_batches=2),
    _image_stream(),
    _image_stream(mirror=True),
    lambda: streams.Stream(streams.Draws(1000, 999_999, 1), lambda x: (x,)),
    lambda: streams.Stream(streams.Shuffled(3, 7, 1), lambda x: (x,)),
  ],
)
@pytest.mark.parametrize('n', [0, 1, 2, 23])
def test_skipping_equals_drawing(make_stream, n):
  drawn, skipped = make_stream(), make_stream()
  for _ in range(2):
    next(drawn)
    next(skipped)
  for _ in range(n):
    next(drawn)
  skipped.skip(n)
  for _ in range(3):
    for x, y in zip(next(drawn), next(skipped), strict=True):
      np.testing.assert_array_equal(x, y)


def test_skips_a_million_batches_quickly():
  start = time.process_time()
  for stream in (_text_stream()(), _eval_stream()()):
    stream.skip(1_000_000)
    next(stream)
  assert time.process_time() - start < 1  # Drawing them takes over 20.
