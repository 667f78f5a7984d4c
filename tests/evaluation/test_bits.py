"""Bits of texts and images, against a plain loop and literal numbers."""

import jax
import numpy as np
import pytest
import tqdm
from trax import fastmath, shapes
from trax import layers as tl
from trax.layers.research import efficient_attention

import trax_hourglass
from trax_hourglass import evaluation
from trax_hourglass.errors import UserError

TEXT = np.random.default_rng(0).integers(0, 251, size=53).astype(np.uint8)
IMAGES = np.random.default_rng(1).integers(
  251, size=(5, 2, 1, 3), dtype=np.uint8
)


def _plain_loop_bits(model, text, length, step):
  """Scores one unpadded window at a time, in float64 from the logits on."""
  bits = []
  for first in range(0, len(text), step):
    end = min(first + step, len(text))
    start = max(first + step - length, 0)
    window = text[start:end].astype(np.int32)
    logits = np.asarray(model(window[np.newaxis]), np.float64)[0]
    log_probs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    for position in range(first, end):
      bits.append(-log_probs[position - start, text[position]] / np.log(2))
  assert len(bits) == len(text)
  return np.mean(bits)


def test_equals_a_plain_loop_on_an_hourglass():
  """With windows padded by the stream, then by the model to a multiple."""
  model = trax_hourglass.HourglassLM(
    251, d_model=4, d_ff=5, n_heads=1, hierarchy='1@1 1@3 0@1', mode='eval'
  )
  model.init(shapes.ShapeDtype((1, 13), np.int32))
  text = TEXT[:23]
  score = evaluation.score(model, text, 13, 5, batch_size=2)
  jitted = jax.jit(lambda x: model.pure_fn(x, model.weights, model.state, None))
  expected = _plain_loop_bits(
    lambda x: jitted(np.pad(x, [(0, 0), (0, 13 - x.shape[1])]))[0], text, 13, 5
  )
  assert score.bits == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
  ('length', 'step', 'batch_size'),
  [
    (13, None, 3),  # Chunks; neither chunks nor batches come out even.
    (13, 5, 4),  # The step does not divide the length.
    (5, 1, 8),
    (59, 19, 5),  # No window as long as it could be.
  ],
)
def test_equals_a_plain_unbatched_loop(model, length, step, batch_size):
  score = evaluation.score(model, TEXT, length, step, batch_size=batch_size)
  expected = _plain_loop_bits(model, TEXT, length, step or length)
  assert score.bits == pytest.approx(expected, abs=1e-5)
  assert score.n == len(TEXT)


def test_context_changes_the_score(model):
  chunks = evaluation.score(model, TEXT, length=13)
  windows = evaluation.score(model, TEXT, length=13, step=1)
  assert abs(chunks.bits - windows.bits) > 1e-2


def test_model_is_compiled_once(model, monkeypatch):
  jitted, jit = [], jax.jit

  def counted(f, **options):
    jitted.append(jit(f, **options))
    return jitted[-1]

  monkeypatch.setattr(jax, 'jit', counted)
  evaluation.score(model, TEXT, length=13, step=3, batch_size=2)
  assert [f._cache_size() for f in jitted] == [1]


def test_progress_counts_bytes(model):
  with tqdm.tqdm(total=len(TEXT)) as bar:
    evaluation.score(model, TEXT, length=13, step=5, progress=bar)
    assert bar.n == len(TEXT)


def _memoryless_model():
  """A model that gives tokens 0, 1, 2 and 3 1, 2, 3 and 3 bits."""
  logits = np.log([0.5, 0.25, 0.125, 0.125]).astype(np.float32)
  model = tl.Fn(
    'Memoryless',
    lambda x: fastmath.numpy.broadcast_to(logits, x.shape + logits.shape),
  )
  model.init(shapes.ShapeDtype((1, 2), np.int32))
  return model


def test_standard_error_of_two_blocks():
  text = np.repeat(np.uint8([0, 1]), 4096)
  score = evaluation.score(_memoryless_model(), text, length=512)
  assert score.bits == pytest.approx(1.5)
  # Standard deviation of the two means over sqrt(2): sqrt(0.5 / 2).
  assert score.standard_error == pytest.approx(0.5)
  assert score.n == 8192


def test_standard_error_of_independent_bytes():
  """Blocks do not matter: it is the standard deviation over sqrt(bytes)."""
  n_bytes = 100 * 4096 + 1234
  text = np.random.default_rng(0).choice(
    np.arange(4, dtype=np.uint8), n_bytes, p=[0.5, 0.25, 0.125, 0.125]
  )
  score = evaluation.score(_memoryless_model(), text, length=4096)
  expected = np.sqrt(0.6875 / n_bytes)
  assert score.standard_error == pytest.approx(expected, rel=0.2)
  assert abs(score.bits - 1.75) < 3 * score.standard_error


def test_no_standard_error_of_a_short_text():
  text = np.zeros(8191, np.uint8)
  score = evaluation.score(_memoryless_model(), text, length=512)
  assert score.bits == pytest.approx(1)
  assert np.isnan(score.standard_error)
  assert str(score) == '1.0000 +- n/a bits per byte over 8,191 bytes'


def test_score_is_one_line():
  score = evaluation.Score(2.19344, 0.01226, 250_000)
  assert str(score) == '2.1934 +- 0.0123 bits per byte over 250,000 bytes'
  score = evaluation.Score(
    3.74, 0.002, 9, 'bits per dim', 'images of a set, test split', 'a note'
  )
  assert str(score) == (
    '3.7400 +- 0.0020 bits per dim over 9 images of a set, test split (a note)'
  )


@pytest.mark.parametrize(
  ('text', 'length', 'step', 'message'),
  [
    ([0, 4, 1], 2, None, 'text: got a token 4, .* vocab_size of 4'),
    ([], 2, None, 'text: got 0 bytes'),
    ([0, 1, 2], 2, 3, 'step: got 3, expected at most the length, 2'),
    ([0, 1, 2], 2, 0, 'step: got 0, expected a whole number'),
    ([0, 1, 2], 0, None, 'length: got 0, expected a whole number'),
  ],
)
def test_errors(text, length, step, message):
  with pytest.raises(UserError, match=message) as error:
    evaluation.score(_memoryless_model(), np.uint8(text), length, step)
  assert '\n' not in str(error.value)


def test_batch_size_is_checked():
  with pytest.raises(UserError, match='batch_size: got 0'):
    evaluation.score(_memoryless_model(), TEXT, length=2, batch_size=0)


@pytest.mark.parametrize('batch_size', [1, 2, 5, 7])
def test_images_are_scored_once(model, batch_size):
  """Even if the last batch is not full."""
  score = evaluation.score_images(model, IMAGES, batch_size)
  rows = [_plain_loop_bits(model, image.reshape(-1), 6, 6) for image in IMAGES]
  assert score.bits == pytest.approx(np.mean(rows), abs=1e-5)
  expected = np.std(rows, ddof=1) / np.sqrt(5)
  assert score.standard_error == pytest.approx(expected, abs=1e-5)
  assert (score.n, score.unit) == (5, 'bits per dim')


def test_no_standard_error_of_one_image():
  score = evaluation.score_images(
    _memoryless_model(), np.zeros_like(IMAGES[:1])
  )
  assert score.bits == pytest.approx(1)
  assert np.isnan(score.standard_error)
  assert str(score) == '1.0000 +- n/a bits per dim over 1 images'


def test_images_beyond_the_vocabulary():
  with pytest.raises(UserError, match='images: got a token .* vocab_size of 4'):
    evaluation.score_images(_memoryless_model(), IMAGES)


def test_no_images():
  with pytest.raises(UserError, match='images: got none, expected at least'):
    evaluation.score_images(_memoryless_model(), IMAGES[:0])


class _SortingLayer(efficient_attention.PureLSHSelfAttention):
  """Maps x to itself in the place of attention that sorts."""

  def __init__(self):
    tl.base.Layer.__init__(self)

  def init_weights_and_state(self, input_signature):
    pass

  def forward(self, x):
    return x


def test_caveat_goes_beside_each_figure_from_lsh():
  within = tl.Serial(tl.Residual(_SortingLayer()), tl.Dense(4))
  embedded = tl.Serial(tl.Embedding(251, 3), within)
  embedded.init(shapes.ShapeDtype((1, 2), np.int32))
  assert 'not strictly autoregressive' in evaluation.caveat(embedded)
  images = np.zeros_like(IMAGES)
  for score in (
    evaluation.score(embedded, images.reshape(-1), length=6),
    evaluation.score_images(embedded, images),
  ):
    assert score.note == evaluation.caveat(embedded)


def test_caveat_is_about_layers_not_names():
  assert evaluation.caveat(_memoryless_model()) is None
  assert evaluation.caveat(tl.Serial(tl.Relu(), name='WithoutLSH')) is None
  assert evaluation.caveat(trax_hourglass.LSHAttention(4))
  assert evaluation.caveat(tl.LSHSelfAttention())
