"""Tests of `reproduce`; training is faked."""

import json
import re
import shutil
import signal

import pytest

from tests.commands import fails
from tests.lab.reproduction.small_runs import CHUNKS, argv, pretend_to_train
from trax_hourglass import commands, reproduce
from trax_hourglass.configuration import registration
from trax_hourglass.training.checkpoints import locking

pytestmark = pytest.mark.usefixtures('reproduce_flags')


@pytest.fixture(scope='module')
def done(tmp_path_factory):
  """The output directory of a study, run from another directory."""
  home = tmp_path_factory.mktemp('reproduce')
  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(home)
    patch.setattr(commands, 'train', pretend_to_train)
    reproduce.main(argv(home / 'found', '--study=appendix_a1'))
  return home / 'found'


def test_each_run_has_a_record(done):
  content = json.loads((done / 'chunks.json').read_text())
  assert content['file'] == 'gin/reproduction/chunks.gin'
  assert content['config'] == list(CHUNKS)
  assert [r['variant'] for r in content['records']] == [
    '0@1 2@3 0@1',
    '0@1 2@3 1@1',
    '0@1 2@3 1@1, local',
    '1@1 2@3 0@1',
  ]
  assert [r['seed'] for r in content['records']] == [0] * 4


def test_page_shows_pictures_tables_and_commands(done):
  page = (done / 'REPRODUCTION.md').read_text()
  assert '![Why vanilla layers](appendix_a1.png)' in page
  assert (done / 'appendix_a1.png').read_bytes().startswith(b'\x89PNG')
  assert '| `0@1 2@3 0@1` | 0.359 |' in page
  assert '*Ours, early in training:* not run.' in page  # Of Table 5.
  assert '--config_file=table1/2x1_8x3_2x1.gin' in page


def test_finished_runs_are_not_repeated(done, monkeypatch, capsys):
  monkeypatch.chdir(done.parent)
  before = (done / 'chunks.json').read_text()
  capsys.readouterr()
  reproduce.main(argv(done, '--study=appendix_a1'))
  assert (done / 'chunks.json').read_text() == before
  assert capsys.readouterr().out == f'output    {done}/REPRODUCTION.md\n'


def test_a_time_limit_keeps_what_is_finished(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  seen = []

  def train_two(output_dir, **configuration):
    seen.append(output_dir)
    if len(seen) > 2:
      signal.raise_signal(signal.SIGALRM)  # Now, rather than in ten minutes.
    return pretend_to_train(output_dir, **configuration)

  monkeypatch.setattr(commands, 'train', train_two)
  found = tmp_path / 'found'
  flags = argv(found, '--study=appendix_a1', '--minutes=10')
  capsys.readouterr()
  reproduce.main(flags)
  assert 'after 10 minutes; start it again' in capsys.readouterr().out
  records = json.loads((found / 'chunks.json').read_text())['records']
  assert len(records) == 2
  page = (found / 'REPRODUCTION.md').read_text()
  assert '2 of 4 accuracies as predicted' in page


def test_runs_of_another_process_are_left_to_it(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(commands, 'train', pretend_to_train)
  original = locking.locked

  def locked(directory):
    if '1@1_2@3_0@1' in directory:
      raise locking.InUseError('in use')
    return original(directory)

  monkeypatch.setattr(locking, 'locked', locked)
  capsys.readouterr()
  found = tmp_path / 'found'
  reproduce.main(argv(found, '--study=appendix_a1'))
  assert 'left to another process: 1 runs' in capsys.readouterr().out
  records = json.loads((found / 'chunks.json').read_text())['records']
  assert len(records) == 3


def test_page_is_written_without_training(done, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  found = tmp_path / 'found'
  shutil.copytree(done, found)
  (found / 'REPRODUCTION.md').unlink()
  reproduce.main(argv(found, '--page'))
  assert (found / 'REPRODUCTION.md').exists()
  assert [path.name for path in tmp_path.iterdir()] == ['found']


@pytest.mark.slow
def test_pages_are_those_of_the_results(tmp_path, monkeypatch):
  root = registration.GIN_DIRECTORY.parent
  shutil.copytree(root / 'results', tmp_path / 'results')
  monkeypatch.chdir(tmp_path)
  reproduce.main(['reproduce', '--page'])
  for name in ('REPRODUCTION.md', 'docs/reproduction.md'):
    assert (tmp_path / name).read_text() == (root / name).read_text()


def test_readme_rounds_the_answer():
  """Its sentence on bits is written by hand, after two pages."""
  root = registration.GIN_DIRECTORY.parent
  readme, answer, models = (
    ' '.join((root / name).read_text().split())
    for name in (
      'README.md',
      'REPRODUCTION.md',
      'docs/measurements/small_text_models.md',
    )
  )
  more = r'(\d\.\d\d)( bits per byte)? more than '
  for kind in ('seconds', 'operations'):
    exact = re.search(
      rf'at equal {kind} the Transformer-XL takes (\S+) bits per byte fewer',
      answer,
    )
    rounded = re.search(
      rf'{more}(a Transformer-XL|one) of equal {kind}', readme
    )
    assert rounded[1] == f'{float(exact[1]):.2f}'
  longer = re.search(
    r'the Hourglass takes (\S+) bits per byte fewer after 97 million bytes',
    answer,
  )
  assert f'({longer[1]} bits fewer, one seed)' in readme
  tests = re.findall(r'(\d\.\d{3}) ± 0\.\d{3}(?:\*\*)? \|', models)
  ours, theirs = map(float, tests)
  assert (
    f'`wikipedia_sample.gin` takes {ours - theirs:.2f} more than a '
    'Transformer-XL of equal time'
  ) in readme


def test_other_settings_are_refused(done, monkeypatch, capsys):
  monkeypatch.chdir(done.parent)
  other = argv(done, '--study=appendix_a1', config=CHUNKS[1:])
  line = fails(capsys, other, main=reproduce.main)
  assert 'give another --output_dir' in line


@pytest.mark.parametrize(
  'flags, words',
  [
    (
      ['--study=table9'],
      "--study: got 'table9', expected some of when_it_pays, tiny,",
    ),
    (['--study='], "--study: got '', expected some of when_it_pays, tiny,"),
    (['--page', '--study=table5'], '--study has no effect with --page'),
    (['--page', '--nocosts'], '--costs has no effect with --page'),
    (['--minutes=0'], '--minutes: got 0, expected more than 0'),
    (['--config=STEPS = 2'], 'give another --output_dir'),
    (
      ['--config=STEPS = ', '--output_dir=new'],
      'correct the gin file or --config',
    ),
    (['--init_checkpoint=a'], '--init_checkpoint has no effect here'),
  ],
)
def test_refuses_flags_in_one_line(flags, words, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  line = fails(capsys, ['reproduce', *flags], main=reproduce.main)
  assert words in line
  assert list(tmp_path.iterdir()) == []
