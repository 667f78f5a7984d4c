"""Rows that start later than others give the logits that they give alone."""

import functools

from jax import numpy as jnp
import numpy as np
import pytest

from tests.models import predicting
import trax_hourglass as th
from trax_hourglass.kernels.cached import many_queries, starts
from trax_hourglass.models import cached

LENGTH = 19
STARTS = (0, 6, 18)
AVERAGE = {
  'downsampling_fn': th.AveragePooling,
  'upsampling_fn': th.NaiveUpsampling,
}


@pytest.mark.parametrize(
  'arguments',
  [
    {
      'hierarchy': '0@1 1@3 1@1',
      'vanilla_attn_type': functools.partial(th.LocalAttention, window=4),
      'middle_attn_type': th.RotaryAttention,
    },
    pytest.param({'hierarchy': '1@1 1@2 1@6 0@2 1@1'}, marks=pytest.mark.slow),
    pytest.param(
      {
        'hierarchy': '0@1 1@2 1@1',
        **AVERAGE,
        'vanilla_attn_type': th.LocalAttention,
        'middle_attn_type': functools.partial(
          th.LSHAttention, chunk_len=LENGTH, n_chunks_before=0, n_hashes=1
        ),
      },
      marks=pytest.mark.slow,
    ),
  ],
  ids=['rotary', 'relative', 'lsh'],
)
def test_rows_that_start_later_have_the_logits_they_have_alone(
  arguments, monkeypatch
):
  # Several blocks in few positions.
  monkeypatch.setattr(many_queries, 'QUERIES', 6)
  monkeypatch.setattr(many_queries, 'KEYS', 6)
  evaluated, model = predicting.pair(LENGTH, batch=3, **arguments)
  weights = evaluated.random_weights()
  tokens = predicting.tokens(LENGTH, 3)
  expected = evaluated(weights, tokens)
  late = np.ones((3, LENGTH), np.int32)
  for row, alone, start in zip(
    late, predicting.fed(tokens), STARTS, strict=True
  ):
    row[start:] = alone[: LENGTH - start]
  with starts.rows_start_at(jnp.array(STARTS)):
    first, state = model.call(weights, model.start, late[:, :11])
    rest, _ = model.one_by_one(weights, state, late[:, 11:])
  logits = np.concatenate([first, rest], axis=1)
  for row, alone, start in zip(logits, expected, STARTS, strict=True):
    np.testing.assert_allclose(
      row[start:], alone[: LENGTH - start], rtol=0, atol=1e-4
    )


@pytest.mark.parametrize(
  ('arguments', 'multiple'),
  [
    ({'hierarchy': '2@1'}, 1),
    ({'hierarchy': '0@1 1@3 1@1'}, 3),
    ({'hierarchy': '1@1 1@2 1@6 0@2 1@1'}, 6),
  ],
)
def test_rows_start_apart_by_whole_groups(arguments, multiple):
  model = th.HourglassLM(
    **predicting.WIDTHS, **arguments, mode='predict', max_inference_length=8
  )
  assert cached.start_multiple(model) == multiple
