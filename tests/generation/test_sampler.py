"""The sampler agrees with the model, however it is called."""

import jax
import numpy as np
import pytest
from trax import layers as tl
from trax import models as trax_models
from trax.layers import base
from trax.supervised import decoding

from tests import trax_tools
from tests.models import predicting
import trax_hourglass as th
from trax_hourglass.generation import sampler as sampler_lib
from trax_hourglass.generation import sampling
from trax_hourglass.lab.benchmarks import steps

LENGTH = 24
CONFIG = predicting.WIDTHS | {
  'hierarchy': '0@1 1@3 1@1',
  'downsampling_fn': th.AveragePooling,
  'upsampling_fn': th.NaiveUpsampling,
}


@pytest.fixture(scope='module')
def eval_logits():
  """Function from tokens, `(3, LENGTH)`, to the logits of mode 'eval'."""
  return trax_tools.Jitted(
    th.HourglassLM(**CONFIG, mode='eval'),
    trax_tools.tokens_signature(LENGTH, 3),
  )


@pytest.fixture(scope='module')
def weights(eval_logits):
  return eval_logits.random_weights()


@pytest.fixture(scope='module')
def model(weights):
  model = th.HourglassLM(**CONFIG, mode='predict', max_inference_length=LENGTH)
  model.init(trax_tools.tokens_signature(1))
  signature = jax.tree.structure(model.weights)
  model.weights = jax.tree.unflatten(signature, weights)
  return model


@pytest.fixture(scope='module')
def sampler(model):
  return th.Sampler(model)


@pytest.fixture
def in_passes(monkeypatch):
  """Prompts of at least 5 tokens go through the model in one pass."""
  monkeypatch.setattr(sampler_lib, 'ONE_PASS', 5)


@pytest.fixture(scope='module')
def expected(eval_logits, weights):
  """Function from tokens to the log-probabilities of mode 'eval'."""

  def log_probs(tokens):
    missing = LENGTH - tokens.shape[1]
    logits = eval_logits(weights, np.pad(tokens, ((0, 0), (0, missing))))
    return jax.nn.log_softmax(logits)[:, : tokens.shape[1]]

  return log_probs


@pytest.mark.parametrize('n_prompt', [0, 1, 4, 7])
@pytest.mark.parametrize('options', [{'temperature': 0}, {'top_k': 1}, {}])
def test_log_probs_equal_eval(sampler, expected, in_passes, n_prompt, options):
  """And greedy options draw the likeliest token."""
  prompt = predicting.tokens(n_prompt, 3)
  found = sampler.sample(prompt, LENGTH - n_prompt, **options)
  log_probs = expected(np.concatenate([prompt, found.tokens], 1))[:, n_prompt:]
  np.testing.assert_allclose(
    found.log_probs,
    np.take_along_axis(log_probs, found.tokens[..., None], -1)[..., 0],
    atol=1e-4,
  )
  if options:
    np.testing.assert_array_equal(found.tokens, log_probs.argmax(-1))


def test_equals_sampling_by_trax(model, sampler):
  start = model.state
  prompt = predicting.tokens(5)
  expected = decoding.autoregressive_sample(
    model, prompt, temperature=0.0, eos_id=-1, max_length=9
  )
  model.state = start
  found = sampler.sample(prompt, 9, temperature=0)
  np.testing.assert_array_equal(found.tokens, expected)


def test_chunks_add_up_to_the_sample(sampler, in_passes):
  prompt = predicting.tokens(4)
  options = {'n_samples': 3, 'temperature': 0.9, 'top_p': 0.9, 'seed': 5}
  whole = sampler.sample(prompt, 11, **options)
  for chunk in (1, 4, 20):
    parts = list(sampler.stream(prompt, 11, chunk=chunk, **options))
    assert [part.tokens.shape[1] for part in parts][:-1] == [chunk] * (
      10 // chunk
    )
    for found, expected in zip(zip(*parts, strict=True), whole, strict=True):
      np.testing.assert_array_equal(np.concatenate(found, axis=1), expected)


def test_rows_depend_only_on_seed_number_and_prompt(sampler):
  prompts = predicting.tokens(4, 2)
  many = sampler.sample(prompts, 11, n_samples=2, seed=1)
  assert many.tokens.shape == many.log_probs.shape == (4, 11)
  again = sampler.sample(prompts, 11, n_samples=2, seed=1)
  other = sampler.sample(prompts, 11, n_samples=2, seed=2)
  np.testing.assert_array_equal(many.tokens, again.tokens)
  assert (many.tokens != other.tokens).any(axis=1).all()
  assert (many.tokens[0] != many.tokens[1]).any()
  one = sampler.sample(prompts[:1], 11, seed=1)
  np.testing.assert_array_equal(one.tokens, many.tokens[:1])


def test_all_bits_of_a_seed_count(sampler):
  """Seeds below 2**32 give the same keys as `jax.random.key`."""
  seeds = (5, 2**32 - 1, 2**32 + 5, 2**33 + 5, 2**63 - 1)
  samples = {s: sampler.sample(length=20, seed=s).tokens for s in seeds}
  assert len({tokens.tobytes() for tokens in samples.values()}) == len(seeds)
  for seed, words in ((5, [0, 5]), (2**32 - 1, [0, 2**32 - 1])):
    key = sampling.key(seed)
    assert key.dtype == jax.random.key(seed).dtype
    np.testing.assert_array_equal(jax.random.key_data(key), words)
    np.testing.assert_array_equal(
      jax.random.key_data(jax.random.key(seed)), words
    )


PROMPTS = [predicting.tokens(n, seed=n)[0] for n in (3, 11, 0, 7)]


@pytest.mark.parametrize('options', [{'temperature': 0}, {'seed': 5}])
def test_rows_of_any_lengths_are_as_each_alone(sampler, in_passes, options):
  """Rows are numbered, and so depend on no other row."""
  many = sampler.sample(PROMPTS, 9, n_samples=2, **options)
  assert many.tokens.shape == (8, 9)
  with pytest.MonkeyPatch.context() as context:
    context.setattr(sampler_lib, 'ONE_PASS', 64)  # One program for all of them.
    for i in range(8):
      one = sampler.sample(PROMPTS[i // 2], 9, first_row=i, **options)
      np.testing.assert_array_equal(one.tokens[0], many.tokens[i])
      np.testing.assert_allclose(one.log_probs[0], many.log_probs[i], atol=1e-5)


def test_rows_of_models_without_starts(sampler, in_passes, monkeypatch):
  expected = sampler.sample(PROMPTS, 9, seed=5)
  monkeypatch.setattr(sampler_lib, 'start_multiple', lambda model: None)
  found = sampler.sample(PROMPTS, 9, seed=5)
  np.testing.assert_array_equal(found.tokens, expected.tokens)
  np.testing.assert_allclose(found.log_probs, expected.log_probs, atol=1e-5)


def test_unequal_rows_are_the_same_however_they_are_streamed(sampler):
  options = {'seed': 5, 'top_k': 4}
  whole = sampler.sample(PROMPTS, 9, **options)
  parts = sampler.stream(PROMPTS, 9, chunk=4, **options)
  for found, expected in zip(zip(*parts, strict=True), whole, strict=True):
    np.testing.assert_array_equal(np.concatenate(found, axis=1), expected)


def test_rows_end_at_stop_strings(sampler):
  whole = sampler.sample(PROMPTS, 12, seed=5)
  stops = [whole.tokens[i, 3:5].astype(np.uint8).tobytes() for i in range(4)]
  found = sampler.sample(PROMPTS, 12, seed=5, stop=stops)
  assert found.lengths.max() <= 5
  assert found.tokens.shape[1] == found.lengths.max()
  for i, text in enumerate(found.texts()):
    assert whole.texts()[i].startswith(text)
    assert text.endswith(tuple(stops))
    assert len(text) == found.lengths[i]
    log_probs = whole.log_probs[i, : len(text)]
    np.testing.assert_allclose(
      found.bits[i], -log_probs.mean() / np.log(2), rtol=1e-5
    )
  one = sampler.sample(PROMPTS, 12, seed=5, stop=stops[0])
  assert one.lengths[0] == 5
  assert one.texts()[1] == whole.texts()[1][: one.lengths[1]]


def test_one_program_for_all_lengths(model):
  sampler = th.Sampler(model)
  sampler.sample(length=1)
  with steps.compilations() as compiled:
    for length in (3, 8, 2):
      sampler.sample(predicting.tokens(length), length, temperature=0.5)
      list(sampler.stream(None, length, chunk=2, seed=length))
  assert not compiled
  with steps.compilations() as compiled:
    sampler.sample(length=1, n_samples=2)
  assert compiled


def test_leaves_the_model_alone_and_reads_its_new_weights(model):
  sampler = th.Sampler(model)
  before = jax.tree.leaves((model.weights, model.state))
  sampler.sample(length=9, temperature=0)
  for x, y in zip(
    before, jax.tree.leaves((model.weights, model.state)), strict=True
  ):
    np.testing.assert_array_equal(x, y)
  first = sampler.sample(length=9, temperature=0).log_probs
  weights = model.weights
  try:
    model.weights = jax.tree.map(lambda x: x / 2, weights)
    assert (sampler.sample(length=9, temperature=0).log_probs != first).all()
  finally:
    model.weights = weights


def test_top_k_beyond_32_bits_keeps_all(sampler):
  found = sampler.sample(length=5, top_k=3_000_000_000)
  expected = sampler.sample(length=5)
  np.testing.assert_array_equal(found.tokens, expected.tokens)


def test_bytes_and_bits():
  sample = th.generation.Sample(
    np.array([[72, 105], [255, 0]]), np.log([[0.5, 0.125], [1, 1]])
  )
  assert sample.texts() == [b'Hi', b'\xff\0']
  np.testing.assert_allclose(sample.bits, [2, 0])


def test_other_tokens_than_bytes_are_no_text():
  sample = th.generation.Sample(np.array([[72, 328]]), np.zeros((1, 2)))
  with pytest.raises(th.UserError, match='texts: got a token 328, expected b'):
    sample.texts()


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'prompt': b'a'}, 'prompt: got a token 97, expected tokens from 0 to 12'),
    ({'prompt': [-1]}, 'prompt: got a token -1'),
    ({'prompt': [0.5]}, 'prompt: got float64 (1,), expected bytes or whole'),
    ({'prompt': [[[1]]]}, 'prompt: got int64 (1, 1, 1)'),
    ({'prompt': [1] * 24}, 'prompt: got 24 tokens, expected fewer than max_i'),
    ({'length': 25}, 'length: got 25 tokens after a prompt of 0, expected at'),
    ({'prompt': [1] * 23, 'length': 2}, 'prompt of 23, expected at most 1;'),
    ({'length': 0}, 'length: got 0'),
    ({'n_samples': 0}, 'n_samples: got 0'),
    ({'temperature': -0.1}, 'temperature: got -0.1'),
    ({'temperature': np.inf}, 'temperature: got inf'),
    ({'temperature': np.nan}, 'temperature: got nan'),
    ({'top_k': 0}, 'top_k: got 0'),
    ({'top_k': 1.5}, 'top_k: got 1.5'),
    ({'top_p': 0}, 'top_p: got 0, expected a number in (0, 1]'),
    ({'top_p': 1.01}, 'top_p: got 1.01'),
    ({'seed': -1}, 'seed: got -1'),
    ({'first_row': -1}, 'first_row: got -1'),
    ({'stop': 'a'}, "stop: got 'a', expected bytes"),
    ({'prompt': [b'', [1] * 24]}, 'prompt 1: got 24 tokens, expected fewer th'),
    ({'prompt': [[1], [2, 13]]}, 'prompt 1: got a token 13'),
  ],
)
def test_errors(sampler, arguments, message):
  with pytest.raises(th.UserError) as error:
    sampler.sample(**{'length': 2, **arguments})
  assert message in str(error.value)


def test_a_model_of_another_mode_is_refused():
  model = th.HourglassLM(**CONFIG, mode='eval')
  with pytest.raises(th.UserError, match="not in mode 'predict', expected mod"):
    th.Sampler(model)


def test_a_model_without_weights_is_refused():
  model = th.HourglassLM(**CONFIG, mode='predict')
  with pytest.raises(th.UserError, match='model: got one without weights, exp'):
    th.Sampler(model)


def test_a_model_outlives_an_error():
  def check(x):
    assert x.shape[1] < sampler_lib.ONE_PASS
    return x

  model = tl.Serial(tl.Embedding(5, 5), tl.Fn('Check', check))
  model.init(trax_tools.tokens_signature(1))
  sampler = th.Sampler(model)
  with pytest.raises(base.LayerError):
    sampler.sample([0] * sampler_lib.ONE_PASS, length=2)
  assert sampler.sample(length=2).tokens.shape == (1, 2)


def test_prompt_and_sample_may_fill_the_limit(sampler):
  for n_prompt in (0, LENGTH - 1):
    sample = sampler.sample(predicting.tokens(n_prompt), LENGTH - n_prompt)
    assert np.isfinite(sample.log_probs).all()


@pytest.mark.slow
def test_samples_from_trax_models():
  model = trax_models.TransformerLM(
    13, d_model=8, d_ff=8, n_layers=1, n_heads=2, max_len=32, mode='predict'
  )
  model.init(trax_tools.tokens_signature(1))
  start = model.state
  prompt = predicting.tokens(5)
  expected = decoding.autoregressive_sample(
    model, prompt, temperature=0.0, eos_id=-1, max_length=9
  )
  model.state = start
  found = th.Sampler(model).sample(prompt, 9, temperature=0)
  np.testing.assert_array_equal(found.tokens, expected)
