import numpy as np
import pytest

from trax_hourglass.lab.benchmarks import generation


def test_places_are_those_of_the_examples():
  for repeats in (1, 3, 5):
    places = generation.Places.within(8192, repeats)
    assert places[:6] == (8192, 1024, 500, 8000, 1024, 2048)
    assert places.n * (repeats + 1) == 192


SECONDS = {
  'ours': [1.0, 2.0],
  'baseline': [2.0, 3.0],
  'early': [2.0, 2.0],
  'late': [3.0, 3.0],
  'early, small cache': [1.0, 1.0],
  'prompt in one pass': [1.0, 1.0],
  'prompt token by token': [8.0, 9.0],
  "Trax's sampling": [5.0, 6.0],
}


def test_ratios_are_of_times_in_turn():
  ratios = generation.ratios(SECONDS)
  assert list(ratios.values()) == [
    [2, 1.5],
    [1.5, 1.5],
    [2, 2],
    [8, 9],
    [5, 3],
  ]
  with_theirs = generation.ratios(SECONDS | {'trax.models': [60.0, 60.0]})
  assert len(with_theirs) == len(ratios) + 1
  assert with_theirs['tokens/s, ours against full recomputation'] == [60, 30]


def test_table_has_each_figure():
  lines = generation.table(SECONDS, {'average': 0.4}).splitlines()
  cells = dict(line.rsplit('  ', 1) for line in lines if '  ' in line.strip())
  cells = {name.strip(): value for name, value in cells.items()}
  assert cells['ours'] == '1.5e+03 (1e+03-2e+03)'
  assert cells['time per token, late against early'] == '1.5 (1.5-1.5)'
  assert cells['cache of 2@1 16@4 2@1 against 20@1, average'] == '0.400'


@pytest.mark.parametrize(
  ('hierarchy', 'n_vectors'),
  [
    # Keys, values and distances of two blocks.
    ('2@1', 2 * 3 * 64),
    # Across levels keys and values alone: of all, and of a quarter.
    ('0@1 1@4 0@1', 2 * 64 + 3 * 64 / 4 + 2 * 64 / 4),
  ],
)
def test_caches_are_counted_in_bytes(hierarchy, n_vectors):
  n = generation.cache_bytes(hierarchy, 64, d_model=8, n_heads=2, d_ff=8)
  # And a group of four, its rows, some counters.
  n_others = n / (8 * np.dtype(np.float32).itemsize) - n_vectors
  assert 0 < n_others < 11


def test_shortened_levels_keep_less(monkeypatch):
  monkeypatch.setattr(generation, 'CACHED', ('0@1 2@4 0@1', '2@1'))
  ratios = generation.cache_ratios(64, d_model=8, n_heads=2)
  assert 0.25 < ratios['average and repeat'] < 0.35
  assert ratios['average and repeat'] < ratios['attention resampling']


@pytest.mark.slow
def test_caches_of_published_sizes():
  ratios = generation.cache_ratios(1024, d_model=16, n_heads=2)
  # In vectors of a token. Keys, values and distances: 2 blocks of 3 at either
  # end, 16 at a quarter of the length, against 20. Across levels keys and
  # values alone, once of all and once of a quarter.
  expected = (4 * 3 + 16 * 3 / 4 + 2 + 2 / 4) / (20 * 3)
  assert ratios['attention resampling'] == pytest.approx(expected, abs=2e-3)
  assert ratios['attention resampling'] <= 0.47
  assert ratios['average and repeat'] <= 0.41
