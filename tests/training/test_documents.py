"""Training on a corpus whose documents a model keeps apart."""

import json

import numpy as np
import pytest

from tests.commands import arguments, fails, run_of
from trax_hourglass import commands
from trax_hourglass.training.checkpoints import format

HIERARCHY = "trax_hourglass.HourglassLM.hierarchy = '1@1 1@2 0@1'"
APART = 'trax_hourglass.HourglassLM.documents = True'
SEGMENTS = 'trax_hourglass.document_inputs.segments = True'
ALIGNED = 'trax_hourglass.document_inputs.total_shorten_factor = 2'


@pytest.fixture(scope='module', name='corpus')
def _corpus(tmp_path_factory):
  """A file of JSON Lines with 60 documents of up to 30 bytes."""
  rng = np.random.default_rng(0)
  path = tmp_path_factory.mktemp('data') / 'corpus.jsonl'
  with path.open('w') as file:
    for size in rng.integers(1, 30, size=60):
      text = ''.join(rng.choice(list('abcdef '), size))
      file.write(json.dumps({'text': text}) + '\n')
  return path


def _arguments(corpus, output_dir, *config):
  inputs = 'trax_hourglass.document_inputs'
  return arguments(
    corpus,
    output_dir,
    f'train.inputs = @{inputs}',
    f'{inputs}.documents = @trax_hourglass.jsonl_documents()',
    f'{inputs}.length = 16',
    f'{inputs}.batch_size = 2',
    f"trax_hourglass.jsonl_documents.path = '{corpus}'",
    f"trax_hourglass.jsonl_documents.cache_dir = '{corpus.parent}'",
    HIERARCHY,
    *config,
  )


@pytest.mark.parametrize(
  ('config', 'message'),
  [
    ([APART], 'got 3 arrays, expected 4 for HourglassLM.documents = True'),
    ([SEGMENTS], 'got 4 arrays, expected 3 for HourglassLM.documents = False'),
  ],
)
def test_segments_are_given_where_they_are_taken(
  corpus, tmp_path, capsys, config, message
):
  line = fails(capsys, _arguments(corpus, tmp_path / 'run', *config))
  assert message in line
  assert 'set document_inputs.segments alike' in line


@pytest.mark.slow
def test_unaligned_documents_are_refused(corpus, tmp_path, capsys):
  argv = _arguments(corpus, tmp_path / 'run', APART, SEGMENTS)
  assert 'set document_inputs.total_shorten_factor' in fails(capsys, argv)


@pytest.mark.slow
def test_trains_resumes_scores_and_generates(corpus, tmp_path, capsys):
  config = APART, SEGMENTS, ALIGNED

  def trained(name, n_steps):
    steps = f'train.steps = {n_steps}'
    run_of(_arguments(corpus, tmp_path / name, *config, steps))
    return format.read_weights(str(tmp_path / name / 'model.pkl.gz'))

  whole = trained('whole', 4)
  assert 'padded by' in capsys.readouterr().out
  trained('parts', 2)
  for x, y in zip(whole, trained('parts', 4), strict=True):
    np.testing.assert_array_equal(x, y)
  score = commands.evaluate(str(tmp_path / 'whole'))
  assert 0 < score.bits < 10
  sample = list(commands.generate_text(str(tmp_path / 'whole'), b'ab', 3))
  assert sum(part.tokens.shape[1] for part in sample) == 3
