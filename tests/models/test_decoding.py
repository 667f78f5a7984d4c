"""Trax's own sampling runs with our models, from a checkpoint of training."""

import numpy as np
import pytest
from trax import shapes
from trax.supervised import decoding

from tests.models import predicting
import trax_hourglass as th

CONFIG = predicting.WIDTHS | {
  'hierarchy': '1@1 1@3 0@1',
  'downsampling_fn': th.AveragePooling,
  'upsampling_fn': th.NaiveUpsampling,
}
BATCH = 2


@pytest.fixture(scope='module')
def models(tmp_path_factory):
  """A model as in training, and one to decode with, from its checkpoint."""
  path = str(tmp_path_factory.mktemp('model') / 'model.pkl.gz')
  evaluated = th.HourglassLM(**CONFIG, mode='eval')
  signature = shapes.ShapeDtype((BATCH, 8), np.int32)
  evaluated.init(signature)
  evaluated.save_to_file(path, input_signature=signature)
  model = th.HourglassLM(**CONFIG, mode='predict', max_inference_length=17)
  model.init_from_file(
    path,
    weights_only=True,
    input_signature=shapes.ShapeDtype((BATCH, 1), np.int32),
  )
  return evaluated, model


@pytest.mark.parametrize('prompt_length', [None, 5])
def test_autoregressive_sample(models, prompt_length):
  evaluated, model = models
  prompt = prompt_length and predicting.tokens(prompt_length, BATCH)
  call = {
    'batch_size': BATCH,
    'temperature': 0.0,
    'eos_id': -1,
    'max_length': 7,
  }
  start = model.state
  sample = decoding.autoregressive_sample(model, prompt, **call)
  model.state = start
  again = decoding.autoregressive_sample(model, prompt, **call)
  model.state = start
  expected = decoding.autoregressive_sample(
    evaluated,
    np.zeros((BATCH, 0), np.int32) if prompt is None else prompt,
    eval_mode=True,
    eval_min_length=15,
    **call,
  )
  np.testing.assert_array_equal(sample, expected)
  np.testing.assert_array_equal(again, expected)


def test_initialising_resets(models):
  _, model = models
  tokens = np.zeros((BATCH, 1), np.int32)
  start, weights = model.state, model.weights
  first = model(tokens)
  model(tokens + 5)
  assert np.abs(model(tokens) - first).max() > 1e-3
  model.init(shapes.signature(tokens))
  model.weights = weights
  np.testing.assert_array_equal(model(tokens), first)
  model.state = start
  np.testing.assert_array_equal(model(tokens), first)
