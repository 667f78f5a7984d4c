"""Tests of `python -m trax_hourglass.train`, run in process."""

import contextlib
import datetime
import os
import re
import shutil
import signal
import subprocess
import sys
import types

from absl import flags
import gin
import numpy as np
from PIL import Image
import pytest
from trax import trainer
from trax.supervised import trainer_lib
from trax.supervised import training as trax_training

from tests.commands import TINY, arguments, fails
from trax_hourglass import load_checkpoint, train
from trax_hourglass.commands import training
from trax_hourglass.configuration import command_line, reading, values
from trax_hourglass.training.checkpoints import format
from trax_hourglass.training.loop import Loop


@pytest.fixture(scope='module')
def run(text, tmp_path_factory):
  """The output directory of a run, not to be written to."""
  output_dir = tmp_path_factory.mktemp('run') / 'made' / 'below'
  train.main(arguments(text, output_dir))
  return output_dir


@pytest.fixture
def copy(run, tmp_path):
  """A copy of that run."""
  return shutil.copytree(run, tmp_path / 'copy')


def weights(output_dir):
  return format.read_weights(str(output_dir / 'model.pkl.gz'))


def test_leaves_what_it_promises(run):
  for name in ('model.pkl.gz', 'config.gin', 'learning_curve.png'):
    assert (run / name).stat().st_size > 0
  for directory in ('train', 'eval'):
    assert list((run / directory).glob('events.*'))


def test_prints_evaluations_and_summary(text, tmp_path, capsys):
  train.main(arguments(text, tmp_path))
  out, err = capsys.readouterr()
  lines = out.splitlines()
  assert [line.split()[1] for line in lines[:3]] == ['1', '2', '4']
  assert [line.split()[0] for line in lines[3:]] == [
    'trained',
    'train',
    'validation',
    'score',
    'output',
  ]
  assert 'over 100 bytes' in lines[6]
  assert not err


def test_images_are_named_beside_each_figure(text, tmp_path, capsys):
  for i, image in enumerate(np.random.default_rng(0).bytes(12 * 20 * 3)[::36]):
    array = np.full((2, 2, 3), image, np.uint8)
    path = tmp_path / 'set' / f'{i:02}.png'
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(array).save(path)
  train.main(
    arguments(
      text,
      tmp_path / 'run',
      'train.inputs = @trax_hourglass.image_inputs',
      "train.metrics = {'bits_per_dim': @trax_hourglass.BitsPerDim()}",
      'trax_hourglass.image_inputs.images = @trax_hourglass.image_folder()',
      'trax_hourglass.image_inputs.batch_size = 2',
      'trax_hourglass.evaluate.text = None',
      'trax_hourglass.evaluate_images.images = @trax_hourglass.image_folder()',
      "trax_hourglass.evaluate_images.split = 'test'",
      f"trax_hourglass.image_folder.path = '{tmp_path}/set'",
    )
  )
  lines = capsys.readouterr().out.splitlines()
  with_figures = [line for line in lines if 'bits' in line]
  assert len(with_figures) == 6
  for line in with_figures[:5]:
    assert 'bits per dim' in line or 'bits_per_dim' in line
    assert line.endswith(' [set]')
  assert with_figures[5].endswith(
    ' bits per dim over 1 images of set, test split'
  )


def test_init_checkpoint_is_where_training_starts(text, run, tmp_path, capsys):
  argv = arguments(text, tmp_path / 'on', 'train.steps = 1')
  train.main([*argv, f'--init_checkpoint={run}'])
  on, started = weights(tmp_path / 'on'), weights(run)
  steps = [np.abs(x - y).max() for x, y in zip(on, started, strict=True)]
  assert 0 < max(steps) < 0.011  # One step at the rate of 0.01.
  line = fails(capsys, [*argv, f'--init_checkpoint={tmp_path}/nothing'])
  assert f'{tmp_path}/nothing does not exist' in line
  train.main([*argv, f'--init_checkpoint={tmp_path}/on'])
  (warning,) = capsys.readouterr().err.splitlines()
  assert 'model.pkl.gz have no effect; give another directory' in warning
  assert f"as this run did from '{run}/" in warning
  line = fails(capsys, [*arguments(text, run), f'--init_checkpoint={run}'])
  assert f'--output_dir: the run in {run} goes on from step 4, and the' in line
  assert line.endswith('start from them, or leave them out')


def test_a_run_starts_from_addresses(text, run, tmp_path, bucket):
  bucket.put(f'{run}/', '/b/run/', recursive=True)
  bucket.put(str(text), '/b/text')
  for name, source, start in (
    ('here', text, run),
    ('there', 'memory://b/text', 'memory://b/run'),
  ):
    argv = arguments(source, tmp_path / name, 'train.steps = 1')
    train.main([*argv, f'--init_checkpoint={start}'])
  for x, y in zip(
    weights(tmp_path / 'here'), weights(tmp_path / 'there'), strict=True
  ):
    np.testing.assert_array_equal(x, y)
  saved = (tmp_path / 'there' / 'config.gin').read_text()
  assert "train.init_checkpoint = 'memory://b/run'" in saved
  assert "text_file.path = 'memory://b/text'" in saved


def test_each_run_started_in_a_minute_has_a_new_directory(
  tmp_path, monkeypatch
):
  minute = datetime.datetime(2026, 1, 2, 3, 4)
  clock = types.SimpleNamespace(now=lambda: minute)
  monkeypatch.setattr(
    training, 'datetime', types.SimpleNamespace(datetime=clock)
  )
  monkeypatch.setenv('HOME', str(tmp_path))
  reading.configure(config=['train.model = @trax_hourglass.HourglassLM'])
  first = '~/trax/HourglassLM_random_20260102_0304'
  for expected in (first, f'{first}_2', f'{first}_3'):
    path = training._default_output_dir()
    assert path == expected
    os.makedirs(os.path.expanduser(path))


def test_config_gin_repeats_the_run(run, tmp_path):
  train.main(
    ['train', f'--config_file={run}/config.gin', f'--output_dir={tmp_path}']
  )
  for x, y in zip(weights(run), weights(tmp_path), strict=True):
    np.testing.assert_array_equal(x, y)
  without_header = [
    (path / 'config.gin').read_text().partition('\n\n')[2]
    for path in (run, tmp_path)
  ]
  assert without_header[0] == without_header[1]


def test_config_gin_tells_seed_and_versions(run):
  header = (run / 'config.gin').read_text().partition('\n\n')[0]
  for part in ('# command: python -m ', '# seed: 3', ' jax ', ' trax 1.4.1'):
    assert part in header


def test_draws_a_seed_where_none_is_bound(text, tmp_path):
  seeds = []
  for name in ('a', 'b', 'b'):
    output_dir = tmp_path / name
    steps = f'train.steps = {len(seeds) + 1}'
    train.main(arguments(text, output_dir, 'train.random_seed = None', steps))
    config = (output_dir / 'config.gin').read_text()
    seeds.append(re.search('^train.random_seed = .*$', config, re.M)[0])
  assert seeds[0] != seeds[1] == seeds[2]


def test_same_losses_as_trax(text, tmp_path, monkeypatch):
  config = [
    # With dropout Trax's masks follow from how often it has evaluated.
    'trax_hourglass.HourglassLM.dropout = 0.0',
    # Full batches, over and over: Trax's evaluation takes the next ones.
    'trax_hourglass.text_inputs.eval_batches = 3',
    'train.eval_steps = 3',
  ]
  train.main(arguments(text, tmp_path / 'ours', *config))
  loops, original = [], trainer_lib.train
  monkeypatch.setattr(
    trainer_lib, 'train', lambda **kwargs: loops.append(original(**kwargs))
  )
  command_line.start(arguments(text, tmp_path / 'trax', *config))
  gin.clear_config()
  trainer.main(None)
  assert type(loops[0]) is trax_training.Loop
  history = load_checkpoint(str(tmp_path / 'ours'))['history']['_values']
  for mode, metric in (
    ('train', 'metrics/WeightedCategoryCrossEntropy'),
    ('eval', 'metrics/bits_per_byte'),
  ):
    np.testing.assert_allclose(
      np.array(history[mode][metric], float),
      np.array(loops[0].history.get(mode, metric), float),
      rtol=1e-6,
    )


def test_same_command_resumes(text, copy, capsys):
  train.main(arguments(text, copy, 'train.steps = 6'))
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith('step 6 ')
  assert format.read_step(str(copy / 'model.pkl.gz')) == 6


def test_finished_run_prints_the_summary(text, copy, capsys):
  before = (copy / 'model.pkl.gz').read_bytes()
  config = (copy / 'config.gin').read_text()
  train.main(arguments(text, copy, 'train.random_seed = 4'))
  out = capsys.readouterr().out
  assert 'already reached the total training steps 4' in out
  assert 'bits per byte over 100 bytes' in out
  assert (copy / 'model.pkl.gz').read_bytes() == before
  assert (copy / 'config.gin').read_text() == config


def test_says_that_there_is_nothing_to_score(text, copy, capsys):
  config = TINY.read_text().replace('trax_hourglass.evaluate.text', '# ')
  path = copy / 'no_text.gin'
  path.write_text(config)
  train.main(
    [
      'train',
      f'--config_file={path}',
      f'--output_dir={copy}',
      f"--config=trax_hourglass.text_file.path = '{text}'",
    ]
  )
  assert 'none: bind trax_hourglass.evaluate.text' in capsys.readouterr().out


@pytest.mark.parametrize(
  'signum, code', [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_interruption_says_where_a_rerun_goes_on(
  text, tmp_path, capsys, monkeypatch, signum, code
):
  def interrupted_at_3(self, *args):
    if self.step == 3:
      os.kill(os.getpid(), signum)
    return one_step(self, *args)

  one_step = Loop._update
  monkeypatch.setattr(Loop, '_update', interrupted_at_3)
  with pytest.raises(SystemExit) as exit_info:
    train.main(arguments(text, tmp_path))
  assert exit_info.value.code == code
  lines = capsys.readouterr().err.strip().splitlines()
  name = signal.Signals(signum).name
  assert lines == [
    f'{name}: finishing the step and saving; Ctrl-C stops at once',
    '',
    f'stopped by {name} at step 3, all saved; the same command goes on from '
    'there',
  ]


# Average pooling and repeat: what shorten factor dropout asks for.
_EVERYTHING_RANDOM = (
  'train.steps = 9',
  'train.eval_frequency = 4',
  "trax_hourglass.HourglassLM.hierarchy = '0@1 1@{2,3} 0@1'",
  'trax_hourglass.HourglassLM.downsampling_fn = @trax_hourglass.AveragePooling',
  'trax_hourglass.HourglassLM.upsampling_fn = @trax_hourglass.NaiveUpsampling',
  'train.lr_schedule_fn = @trax_hourglass.warmup_cosine',
  'trax_hourglass.warmup_cosine.peak = 0.01',
  'trax_hourglass.warmup_cosine.warmup_steps = 3',
  'trax_hourglass.warmup_cosine.cycle_steps = 20',
  'trax_hourglass.evaluate.text = None',  # To be quick.
)


def test_interrupted_run_ends_as_one_that_was_not(
  text, tmp_path, monkeypatch, capsys
):
  def run(name, stop_at=None, *config):
    def stopped(self, *args):
      if self.step == stop_at:
        os.kill(os.getpid(), signal.SIGTERM)
      return one_step(self, *args)

    monkeypatch.setattr(Loop, '_update', stopped)
    argv = arguments(text, tmp_path / name, *_EVERYTHING_RANDOM, *config)
    with pytest.raises(SystemExit) if stop_at else contextlib.nullcontext():
      train.main(argv)

  one_step = Loop._update
  run('whole')
  run('parts', 5)
  # It is evaluated at 6 and 9, not at 8.
  run('parts', 9, 'train.eval_frequency = 3')
  run('parts', None, 'train.eval_frequency = 3')
  assert re.search('^validation .* at step 9', capsys.readouterr().out, re.M)
  whole, parts = (
    load_checkpoint(str(tmp_path / name)) for name in ('whole', 'parts')
  )
  for x, y in zip(whole['flat_weights'], parts['flat_weights'], strict=True):
    np.testing.assert_array_equal(x, y)
  assert whole['step'] == parts['step'] == 9
  for key in ('rng', 'n_drawn'):
    np.testing.assert_array_equal(
      whole[format.EXTRA][key], parts[format.EXTRA][key]
    )


def test_second_run_in_a_directory_is_refused(text, copy, capsys):
  before = sorted(copy.rglob('*'))
  code = 'import fcntl, sys; f = open(sys.argv[1], "a"); '
  code += 'fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()'
  with subprocess.Popen(
    [sys.executable, '-c', code, str(copy / '.lock')],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
  ) as process:
    process.stdout.readline()
    line = fails(capsys, arguments(text, copy, 'train.steps = 6'))
    process.kill()
  assert f'{copy} is in use by another run (process {os.getpid()} ' in line
  assert sorted(copy.rglob('*')) == before


def test_damaged_checkpoint_is_named_and_the_one_before_used(
  text, copy, capsys
):
  newest, *_ = sorted(copy.glob('checkpoints/*/*.npy.gz'), reverse=True)
  newest.write_bytes(newest.read_bytes()[:-100])
  train.main(arguments(text, copy, 'train.steps = 6'))
  out, err = capsys.readouterr()
  assert f'{newest.parent} is damaged ({newest.name}: got' in err
  assert out.splitlines()[0].startswith('step 4 ')  # It has gone on from 2.
  for path in copy.glob('checkpoints/*/*.npy.gz'):
    path.write_bytes(path.read_bytes()[:-100])
  before = sorted(copy.rglob('*'))
  line = fails(capsys, arguments(text, copy, 'train.steps = 8'))
  assert f'all in {copy} are damaged' in line
  assert sorted(copy.rglob('*')) == before


def test_resuming_with_another_configuration_keeps_the_first(text, copy):
  config = (copy / 'config.gin').read_text()
  train.main(arguments(text, copy, 'train.steps = 6'))
  assert (copy / 'config.gin').read_text() == config
  assert 'train.steps = 6' in (copy / 'config_4.gin').read_text()


def test_bug_keeps_its_traceback(text, tmp_path, monkeypatch):
  def bug(self, *args):
    raise ValueError('a bug')

  monkeypatch.setattr(Loop, '_update', bug)
  with pytest.raises(ValueError, match='a bug'):
    train.main(arguments(text, tmp_path))


def test_finds_the_gin_files_from_anywhere(monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'own.gin').write_text("include 'quickstart.gin'\n")
  for config_file in ('quickstart.gin', 'own.gin'):
    command_line.start(['train', f'--config_file={config_file}'])
    reading.configure(**command_line.configuration())
    assert values.bound('train.model') is not None


def test_flags_of_an_earlier_call_are_forgotten():
  command_line.start(['train', '--config=a', '--config=b'])
  command_line.start(['train', '--config=c'])
  assert flags.FLAGS.config == ['c']


@pytest.mark.slow
def test_runs_as_a_command(text, tmp_path):
  argv = [sys.executable, '-m', 'trax_hourglass.train']
  done = subprocess.run(
    [*argv, *arguments(text, tmp_path)[1:]], capture_output=True, text=True
  )
  assert done.returncode == 0
  assert not done.stderr
