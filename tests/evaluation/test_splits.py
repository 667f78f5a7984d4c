"""Evaluations of a split: what they score, and under which name."""

import tracemalloc

import numpy as np
import pytest

from trax_hourglass import evaluation
from trax_hourglass.data import images as images_lib
from trax_hourglass.data import text as text_lib
from trax_hourglass.data.documents import Documents
from trax_hourglass.errors import UserError

TEXT = np.random.default_rng(0).integers(0, 251, size=53).astype(np.uint8)
IMAGES = np.random.default_rng(1).integers(
  251, size=(5, 2, 1, 3), dtype=np.uint8
)


def test_evaluator_scores_a_split(model):
  text = text_lib.Text('numbers', TEXT[:3], TEXT[3:6], TEXT[6:])
  evaluate = evaluation.evaluator(text, length=5, step=2, batch_size=3)
  score = evaluate(model)
  expected = evaluation.score(model, TEXT[6:], length=5, step=2, batch_size=3)
  assert score.bits == expected.bits
  assert score.n == 47


def test_evaluator_scores_each_document_alone(model):
  edges = np.array([0, 2, 15, 16, 53])
  splits = np.array([2, 0, 2, 2])
  corpus = Documents('numbers', TEXT, edges, splits)
  evaluate = evaluation.evaluator(corpus, length=7, step=3)
  alone = [evaluation.score(model, x, 7, 3) for x in np.split(TEXT, edges[1:4])]
  scored = np.concatenate([alone[i].each for i in (0, 2, 3)])
  score = evaluate(model)
  np.testing.assert_allclose(score.each, scored, atol=1e-5)
  assert evaluate.text.tobytes() == np.delete(TEXT, np.s_[2:15]).tobytes()
  assert str(score).endswith('over 40 bytes of 3 documents')
  first = evaluation.evaluator(corpus, None, length=7, step=3, n_bytes=4)(model)
  np.testing.assert_allclose(first.each[:2], alone[0].each, atol=1e-5)
  np.testing.assert_allclose(first.each[2:], alone[1].each[:2], atol=1e-5)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'split': 'dev'}, "split: got 'dev', expected one of"),
    ({'step': 6}, 'step: got 6, expected at most the length, 5'),
  ],
)
def test_evaluator_errors_before_there_is_a_model(changes, message):
  text = text_lib.Text('numbers', TEXT[:3], TEXT[3:6], TEXT[6:])
  with pytest.raises(UserError, match=message):
    evaluation.evaluator(text, **{'length': 5} | changes)


def test_evaluator_of_the_first_bytes(model):
  text = text_lib.Text('numbers', TEXT[:0], TEXT[:0], TEXT)
  n_bytes = len(TEXT) // 2
  score = evaluation.evaluator(text, length=5, n_bytes=n_bytes)(model)
  assert score.n == n_bytes
  assert score.bits == evaluation.score(model, TEXT[:n_bytes], 5).bits
  assert score.bits != evaluation.score(model, TEXT, 5).bits


@pytest.mark.parametrize(
  ('split', 'expected'), [(None, [1, 1, 2]), ('test', [1, 1, 3])]
)
def test_evaluator_of_the_first_bytes_of_a_large_corpus(split, expected):
  """The rest is not copied."""
  sizes = [2, 20_000_000, 10_000_000]
  edges = np.cumsum([0, *sizes])
  content = np.repeat(np.uint8([1, 2, 3]), sizes)
  text = Documents('large', content, edges, splits=np.array([2, 0, 2]))
  tracemalloc.start()
  try:
    first = evaluation.evaluator(text, split, length=5, n_bytes=3).text
    _, peak = tracemalloc.get_traced_memory()
  finally:
    tracemalloc.stop()
  assert first.tolist() == expected
  assert peak < 100_000
  whole = evaluation.evaluator(text, split, length=5).text
  assert len(whole) == (30_000_002 if split is None else 10_000_002)


def test_image_evaluator_names_set_and_split(model):
  images = images_lib.Images.from_arrays('numbers', validation=IMAGES)
  score = evaluation.image_evaluator(images, batch_size=2)(model)
  assert score.bits == evaluation.score_images(model, IMAGES, 2).bits
  assert str(score).endswith(
    ' bits per dim over 5 images of numbers, validation split'
  )


def test_image_evaluator_of_the_first_images(model):
  images = images_lib.Images.from_arrays('numbers', validation=IMAGES)
  score = evaluation.image_evaluator(images, n_images=2)(model)
  assert score.n == 2
  assert score.bits == evaluation.score_images(model, IMAGES[:2]).bits


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'images': 'photos'}, "images: got 'photos', expected an Images"),
    ({'split': 'test'}, "split: got 'test', expected one of"),
    ({'batch_size': 0}, 'batch_size: got 0'),
    ({'n_images': 0}, 'n_images: got 0'),
  ],
)
def test_image_evaluator_errors_before_there_is_a_model(changes, message):
  images = images_lib.Images.from_arrays('numbers', validation=IMAGES)
  with pytest.raises(UserError, match=message):
    evaluation.image_evaluator(**{'images': images} | changes)
