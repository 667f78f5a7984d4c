"""Configurations of several tests, each traced and compiled once."""

import functools

import numpy as np
from trax import layers as tl

from tests import trax_tools
import trax_hourglass as th
from trax_hourglass.models import HourglassLM

VOCAB_SIZE = 13
WIDTHS = {'vocab_size': VOCAB_SIZE, 'd_model': 12, 'd_ff': 14, 'n_heads': 3}

# name -> (arguments, length), in the notation of Trax and for its lengths.
# Resamplers are named as both packages name them.
CASES = {
  'two_levels': ({'hierarchy': '1@2 1@6 1@2', 'vanilla_layers': (1, 0)}, 12),
  'three_levels': (
    {'hierarchy': '0@2 1@4 1@8 1@4 0@2', 'upsampling_fn': 'NaiveUpsampling'},
    16,
  ),
  'pre_only': ({'vanilla_layers': (2, 0), 'hierarchy': '1@5'}, 10),
  'post_only': ({'vanilla_layers': (0, 2), 'hierarchy': '0@2'}, 10),
  'no_vanilla': ({'vanilla_layers': (0, 0), 'hierarchy': '2@3'}, 12),
  'average_linear': (
    {
      'downsampling_fn': 'AveragePooling',
      'upsampling_fn': 'LinearUpsampling',
      'ff_activation': tl.Relu,
      'hierarchy': '1@4',
    },
    12,
  ),
  'linear_none': (
    {
      'hierarchy': '1@3',
      'downsampling_fn': 'LinearPooling',
      'upsampling_fn': 'NoUpsampling',
    },
    12,
  ),
  'attention_u_x': (
    {'hierarchy': '1@2', 'attention_upsampling_fn': 'NoUpsampling'},
    12,
  ),
  'attention_u_repeat': (
    {
      'attention_upsampling_fn': 'NaiveUpsampling',
      'attention_downsampling_fn': 'LinearPooling',
      'ff_activation': tl.Gelu,
      'hierarchy': '1@3',
    },
    12,
  ),
  'mixed_two_levels': (
    {
      'hierarchy': '0@3 1@6 0@3',
      'downsampling_fn': 'LinearPooling',
      'ff_activation': tl.Swish,
    },
    18,
  ),
}


def arguments(name, resamplers):
  """Returns the arguments of a case, with resamplers of a module."""
  case, _ = CASES[name]
  return {
    key: getattr(resamplers, value) if key.endswith('sampling_fn') else value
    for key, value in case.items()
  }


def build(lm, length, **config):
  """Returns a jitted model."""
  model = lm(**WIDTHS, **config, dropout=0.1, mode='eval')
  return trax_tools.Jitted(model, trax_tools.tokens_signature(length))


@functools.cache
def ours(name):
  """Returns our model of a case."""
  return build(HourglassLM, CASES[name][1], **arguments(name, th))


def changed_tokens(length):
  """Returns a sequence, and a copy of it with each token changed.

  Shape `(length + 1, length)`; row j + 1 differs from row 0 in token j.
  """
  tokens = np.random.default_rng(1).integers(VOCAB_SIZE, size=length)
  changed = (tokens + np.eye(length, dtype=int)) % VOCAB_SIZE
  return np.concatenate([tokens[None], changed]).astype(np.int32)
