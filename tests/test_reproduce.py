"""Tests of `reproduce`; training is faked, except in the slow ones."""

import dataclasses
import gc
import json
import shutil
import signal
import types

import gin
import pytest
from trax.supervised import history as trax_history

from tests.commands import TINY, fails
from trax_hourglass import commands, evaluation, reproduce
from trax_hourglass.configuration import command_line, registration
from trax_hourglass.lab.reproduction import costs, measuring, page, prepared
from trax_hourglass.lab.reproduction.experiments import Experiment
from trax_hourglass.layers import metrics
from trax_hourglass.training.checkpoints import locking

SMALL = (
  'STEPS = 2',
  'WARMUP_STEPS = 1',
  'BATCH_SIZE = 2',
  'EVAL_BATCHES = 1',
  'trax_hourglass.HourglassLM.d_model = 8',
  'trax_hourglass.HourglassLM.d_ff = 8',
  'trax_hourglass.reproduce.seeds = 1',
)
CHUNKS = (*SMALL, 'trax_hourglass.random_chunks.n_chunks = 400')


@pytest.fixture(autouse=True)
def flags():
  command_line.start(['reproduce'])
  yield
  gin.clear_config()


def argv(output_dir, *flags, config=CHUNKS):
  return [
    'reproduce',
    f'--output_dir={output_dir}',
    *flags,
    *(f'--config={binding}' for binding in config),
  ]


def pretend_to_train(output_dir, *, config_file, config):
  """Returns what a run would, with bits and accuracy that follow its config."""
  del output_dir, config_file
  bound = ' '.join(config)
  [seed] = [b[-1] for b in config if b.startswith('SEED = ')]
  has_vanilla = "HIERARCHY = '0@1" not in bound and '1@1' in bound
  history = trax_history.History()
  for step, bits in ((1, 8.0), (2, 2.0 + int(seed) / 10)):
    history.append('eval', 'metrics/bits_per_byte', step, bits)
    accuracy = 0.68 if has_vanilla else 0.36
    history.append('eval', 'metrics/accuracy', step, accuracy)
  loop = types.SimpleNamespace(
    step=2,
    model=types.SimpleNamespace(weights=()),
    history=history,
    measure=metrics.Measure(),
  )
  score = evaluation.Score(bits, 0.01, 100)
  return commands.Run(loop, 2, 1.0, score)


@pytest.fixture(scope='module')
def done(tmp_path_factory):
  """The output directory of a study, run from another directory."""
  home = tmp_path_factory.mktemp('reproduce')
  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(home)
    patch.setattr(commands, 'train', pretend_to_train)
    reproduce.main(argv(home / 'found', '--study=appendix_a1'))
  return home / 'found'


@pytest.mark.slow
def test_a_run_leaves_its_record_and_no_checkpoints(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  chunks = Experiment('chunks', str(tmp_path / 'found'), CHUNKS)
  variants = chunks.variants()
  [record] = chunks.run(variants, '0@1 2@3 0@1', seed=0)
  assert 2 < record.pop('bits') < 12
  assert 0 <= record.pop('accuracy') < 0.7
  assert [step for step, _ in record.pop('curve')] == [1]
  assert record == {
    'variant': '0@1 2@3 0@1',
    'standard_error': None,  # Of so short a text.
    'seed': 0,
    'steps': 2,
    'weights': record['weights'],
    'scored_on': 'chunks of 26 letters, validation split',
  }
  assert len(chunks.records()) == 1
  # Checkpoints go when a result is there.
  assert list((tmp_path / 'found' / 'runs' / 'chunks').iterdir()) == []
  assert chunks.run(variants, '0@1 2@3 0@1', seed=0) == []
  assert list((tmp_path / 'found' / 'runs' / 'chunks').iterdir()) == []


@pytest.mark.slow
def test_shorten_factor_dropout_is_scored_at_each_factor(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  config = (*SMALL, 'trax_hourglass.evaluate.n_bytes = 500')
  text = Experiment('text', str(tmp_path / 'found'), config)
  variants = text.variants()
  at_2, at_3 = text.run(variants, 'k from {2,3}, at 2', seed=0)
  assert at_2['variant'] == 'k from {2,3}, at 2'
  assert at_3['variant'] == 'k from {2,3}, at 3'
  assert at_2['bits'] != at_3['bits']
  assert at_2['weights'] == at_3['weights']


@pytest.mark.slow
def test_completions_are_scored_and_drawn(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  config = (
    *(b for b in SMALL if 'WARMUP' not in b),
    'trax_hourglass.evaluate_images.n_images = 2',
  )
  completions = Experiment('completions', str(tmp_path / 'found'), config)
  picture = tmp_path / 'figure8.png'
  completions.complete(str(picture))
  [record] = completions.records()
  assert record['steps'] == 2
  assert len(record['bits_per_dim']) == len(record['images'])
  assert picture.read_bytes().startswith(b'\x89PNG')


@pytest.mark.slow
def test_costs_are_measured_and_recorded(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  config = (
    *SMALL,
    'trax_hourglass.reproduce.repeats = 1',
    "trax_hourglass.reproduce.costs = {'one': ([], ['2@1', '1@1 1@3 1@1'])}",
  )
  text = Experiment('text', str(tmp_path / 'found'), config)
  measuring.measure_costs(text)
  found = {record['variant']: record for record in text.records('costs')}
  assert set(found) == {'2@1', '1@1 1@3 1@1'}
  for cost in found.values():
    assert (cost['length'], cost['batch_size']) == (240, 2)
    assert len(cost['seconds']) == 1
  assert found['2@1']['operations'] < found['1@1 1@3 1@1']['operations']


def test_costs_of_a_setting_are_measured_together(tmp_path, monkeypatch):
  """Again if one is missing, for steps are timed in turns."""
  measured = []

  def step_costs(models, repeats):
    del repeats
    measured.append([name for name, _ in models])
    return {name: {} for name in measured[-1]}

  monkeypatch.setattr(costs, 'step_costs', step_costs)
  text = Experiment('text', str(tmp_path))
  measuring.measure_costs(text)
  first = list(measured)
  assert [len(names) for names in first] == [13, 4]
  measuring.measure_costs(text)
  assert measured == first
  path = tmp_path / 'text_costs.json'
  content = json.loads(path.read_text())
  content['records'] = [
    r
    for r in content['records']
    if (r['variant'], r['setting']) != ('6@1', 'Figure 1')
  ]
  path.write_text(json.dumps(content))
  measuring.measure_costs(text)
  assert measured == [*first, first[0]]


def test_operations_of_trainings_are_counted_once(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
  row = prepared.Prepared('a', 'b', 'tin*.gin')
  monkeypatch.setattr(registration, 'GIN_DIRECTORY', TINY.parent)
  monkeypatch.setattr(prepared, 'COUNTED', [row])
  flags = argv(tmp_path / 'found', '--study=tables2and3', config=())
  reproduce.main(flags)
  path = tmp_path / 'found' / 'trainings.json'
  [record] = json.loads(path.read_text())['records']
  assert record['variant'] == 'tin*.gin'
  # 16 tokens, d_model 8, 256 logits, 2 sequences, 4 steps; no block at all.
  assert record['operations'] == 3 * 2 * 16 * 8 * 256 * 2 * 4
  assert 'operations of ' in capsys.readouterr().out
  before = path.read_text()
  reproduce.main(flags)
  assert path.read_text() == before
  assert 'operations of ' not in capsys.readouterr().out


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


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
  """Returns where, and with what flags, the models of `tiny.gin` trained."""
  home = tmp_path_factory.mktemp('tiny')
  configs, counted, timed = [], [], []

  def train_tiny(output_dir, *, config_file, config):
    configs.append(config)
    run = pretend_to_train(output_dir, config_file=config_file, config=config)
    penalty = 0.0 if 'LEARNING_RATE = 6e-3' in config else 0.1
    score = dataclasses.replace(run.score, bits=run.score.bits + penalty)
    return dataclasses.replace(run, score=score)

  def count(model, steps):
    counted.append((model.length, model.batch_size, steps))
    return 10 * len(counted)

  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(home)
    patch.setattr(commands, 'train', train_tiny)
    patch.setattr(costs, 'training_operations', count)
    patch.setattr(costs, 'step_costs', lambda *_: timed.append(1))
    patch.setattr(page, 'write', lambda *_: None)
    patch.setattr(gc, 'collect', lambda: 0)
    flags = argv(home / 'found', '--study=tiny', '--nocosts', config=())
    reproduce.main(flags)
    reproduce.main(flags)  # All is there.
  assert not timed
  assert counted == [(504, 8, 1)] * 9
  return home / 'found', configs


def test_the_best_rate_of_the_baseline_serves_all(tiny):
  found, configs = tiny
  trials, runs = configs[:3], configs[3:]
  for trial, rate in zip(trials, ('1.5e-3', '3e-3', '6e-3'), strict=True):
    assert trial == [
      "HIERARCHY = '6@1'",
      'STEPS = 2000',
      f'LEARNING_RATE = {rate}',
      'SEED = 0',
    ]
  for run in runs:
    assert 'LEARNING_RATE = 6e-3' in run
  content = json.loads((found / 'tiny.json').read_text())
  chosen = {r['variant']: r.get('chosen') for r in content['records']}
  assert len(chosen) == 12
  for variant, candidate in chosen.items():
    is_trial = variant.startswith('peak')
    assert candidate == (None if is_trial else 'peak 0.006')


def test_the_most_informative_runs_come_first(tiny):
  _, configs = tiny
  assert [(run[0], run[-1]) for run in configs[3:9]] == [
    (f"HIERARCHY = '{hierarchy}'", f'SEED = {seed}')
    for seed in range(3)
    for hierarchy in ('6@1', '2@1 8@3 2@1')
  ]
  assert len(configs) == 3 + 2 * 3 + 5 + 2
  assert all('STEPS = 24000' in run for run in configs[-2:])


def test_a_record_keeps_the_learning_curve(tiny):
  found, _ = tiny
  content = json.loads((found / 'tiny.json').read_text())
  curves = {(r['seed'], str(r['curve'])) for r in content['records']}
  assert curves == {
    (seed, f'[[1, 8.0], [2, {2.0 + seed / 10}]]') for seed in range(3)
  }


def test_candidates_that_another_process_tries_are_waited_for(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(commands, 'train', pretend_to_train)
  monkeypatch.setattr(costs, 'training_operations', lambda *_, **__: 10)
  original = locking.locked

  def locked(directory):
    if 'peak_0_003' in directory:
      raise locking.InUseError('in use')
    return original(directory)

  monkeypatch.setattr(locking, 'locked', locked)
  found = tmp_path / 'found'
  reproduce.main(argv(found, '--study=tiny', config=()))
  assert 'left to another process: 14 runs' in capsys.readouterr().out
  records = json.loads((found / 'tiny.json').read_text())['records']
  assert [r['variant'] for r in records] == ['peak 0.0015', 'peak 0.006']


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


def test_a_run_just_finished_by_another_process_is_skipped(
  tmp_path, monkeypatch
):
  """It removes the directory between its making here and its lock."""
  experiment, original = Experiment('chunks', str(tmp_path)), locking.locked
  done = {'variant': '0@1 2@3 0@1', 'seed': 0, 'bits': 3.0}

  def remove_and_lock(directory):
    shutil.rmtree(directory)
    experiment.add([done])
    return original(directory)

  monkeypatch.setattr(locking, 'locked', remove_and_lock)
  assert experiment.run(experiment.variants(), '0@1 2@3 0@1', seed=0) == []
  assert experiment.records() == [done]
  assert list((tmp_path / 'runs' / 'chunks').iterdir()) == []


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
      "--study: got 'table9', expected some of when_it_pays, tiny, gpu,",
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
