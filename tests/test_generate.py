"""Tests of `python -m trax_hourglass.generate`, run in process."""

import bz2
import gzip
import io
import json
import os
import sys

import numpy as np
from PIL import Image
import pytest

from tests.commands import arguments, fails
from trax_hourglass import commands, generate, train
from trax_hourglass.generation import completion

LIMIT = 'trax_hourglass.HourglassLM.max_inference_length'


@pytest.fixture(scope='module')
def run(text, tmp_path_factory):
  """A directory with a model that was trained on any bytes."""
  directory = tmp_path_factory.mktemp('run')
  train.main(arguments(text, directory, 'train.steps = 1', f'{LIMIT} = 40'))
  return directory


@pytest.fixture(scope='module')
def images():
  """4 images of 4 x 2."""
  rng = np.random.default_rng(0)
  return rng.integers(256, size=(4, 4, 2, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def image_run(images, text, tmp_path_factory):
  """A directory with a model that was trained on images."""
  directory = tmp_path_factory.mktemp('image_run')
  for split in ('train', 'validation'):
    (directory / 'set' / split).mkdir(parents=True)
    for i, image in enumerate(images):
      Image.fromarray(image).save(directory / 'set' / split / f'{i}.png')
  train.main(
    arguments(
      text,
      directory,
      'train.steps = 1',
      'train.inputs = @trax_hourglass.image_inputs',
      'trax_hourglass.image_inputs.images = @trax_hourglass.image_folder()',
      'trax_hourglass.image_inputs.batch_size = 2',
      f"trax_hourglass.image_folder.path = '{directory}/set'",
      'trax_hourglass.evaluate.text = None',
      f'{LIMIT} = 5',
    )
  )
  return directory


def generated(capsysbinary, *argv):
  """Returns what a command wrote to stdout and to stderr."""
  capsysbinary.readouterr()
  generate.main(['generate', *map(str, argv)])
  return capsysbinary.readouterr()


def test_output_is_the_prompt_and_bytes(run, capsysbinary):
  flags = (f'--output_dir={run}', '--prompt=A\udcff b', '--length=21')
  out, err = generated(capsysbinary, *flags, '--seed=1')
  assert out[:4] == b'A\xff b'
  assert len(out) == 4 + 21
  assert b'\n\n21 bytes, ' in err
  assert 5 < float(err.partition(b'21 bytes, ')[2].split()[0]) < 12
  again, _ = generated(capsysbinary, *flags, '--seed=1')
  assert again == out
  other, _ = generated(capsysbinary, *flags, '--seed=2')
  assert other != out


def test_stdout_of_a_notebook_takes_text_alone(run, monkeypatch):
  monkeypatch.setattr(sys, 'stdout', io.StringIO())
  prompt = '--prompt=\udcffé'  # The first is no UTF-8.
  generate.main(['generate', f'--output_dir={run}', prompt, '--length=1'])
  assert sys.stdout.getvalue().startswith('\ufffdé')


def test_takes_checkpoint_settings_and_prompt_of_a_file(
  run, capsysbinary, tmp_path, monkeypatch
):
  path = tmp_path / 'prompt'
  path.write_bytes(bz2.compress(b'\x00\xfe'))
  flags = (f'--checkpoint={run}/model.pkl.gz', '--length=9', '--seed=3')
  likeliest, _ = generated(
    capsysbinary, *flags, f'--prompt_file={path}', '--temperature=0'
  )
  assert likeliest[:2] == b'\x00\xfe'
  for pack, flag in ((bytes, '--top_k=1'), (gzip.compress, '--top_p=1e-9')):
    stdin = io.TextIOWrapper(io.BytesIO(pack(b'\x00\xfe')))
    monkeypatch.setattr(sys, 'stdin', stdin)
    out, _ = generated(capsysbinary, *flags, '--prompt_file=-', flag)
    assert out == likeliest
  drawn, _ = generated(capsysbinary, *flags, f'--prompt_file={path}')
  assert drawn != likeliest


def test_continues_a_prompt_at_an_address(run, capsysbinary, bucket):
  bucket.put(f'{run}/', '/b/run/', recursive=True)
  (there, err), (here, _) = (
    generated(
      capsysbinary,
      '--length=9',
      f'--checkpoint={place}',
      f'--prompt_file={place}/config.gin',
      f'--config={LIMIT} = 9000',
    )
    for place in ('memory://b/run', run)
  )
  assert there == here
  assert b'/memory/b/run/checkpoints/step_00000001/' in err


def test_by_default_the_text_is_as_long_as_there_is_room(run, capsysbinary):
  flags = (f'--output_dir={run}', '--prompt=' + 'a' * 31)
  out, _ = generated(capsysbinary, *flags)
  assert len(out) == 40
  (rows,) = commands.continue_prompts(str(run), [b'a', b'a' * 38])
  assert rows.tokens.shape == (2, 2)


def test_stdin_may_be_closed(run, capsys, monkeypatch):
  monkeypatch.setattr(sys, 'stdin', None)
  argv = ['generate', f'--output_dir={run}', '--prompt_file=-']
  line = fails(capsys, argv, main=generate.main)
  assert '--prompt_file: got -, but stdin is closed; give a file' in line


def test_ends_quietly_when_nobody_reads(run, capsys, monkeypatch):
  reading, writing = os.pipe()
  os.close(reading)
  with os.fdopen(writing, 'w') as stdout, pytest.raises(SystemExit) as info:
    monkeypatch.setattr(sys, 'stdout', stdout)
    generate.main(['generate', f'--output_dir={run}', '--length=9'])
  assert info.value.code == 141
  _, configuration = capsys.readouterr().err.splitlines()
  assert configuration.startswith('configuration ')


def test_a_full_disk_leaves_the_completions_before(
  image_run, tmp_path, disk_full_during, capsys
):
  disk_full_during(completion, 'plot_completions')
  (tmp_path / 'completions.json').write_text('earlier')
  with pytest.raises(SystemExit) as info:
    generate.main(
      [
        'generate',
        f'--checkpoint={image_run}',
        f'--output_dir={tmp_path}',
        '--images=3,1',
        '--completions=2',
      ]
    )
  assert info.value.code == 2
  assert (
    capsys.readouterr()
    .err.splitlines()[-1]
    .startswith(
      f'error: {tmp_path}/completions.png: cannot be written (File too large)'
    )
  )
  assert (tmp_path / 'completions.json').read_text() == 'earlier'
  assert os.listdir(tmp_path) == ['completions.json']


def test_completed_images_need_a_place(image_run, capsys, bucket):
  bucket.put(f'{image_run}/', '/b/run/', recursive=True)
  line = fails(
    capsys, ['generate', '--checkpoint=memory://b/run'], main=generate.main
  )
  assert '--output_dir: not given, expected where to write' in line


def test_completes_images(image_run, images, capsysbinary, tmp_path):
  out, _ = generated(
    capsysbinary,
    f'--checkpoint={image_run}',
    f'--output_dir={tmp_path}/new',
    '--images=3,1',
    '--completions=2',
  )
  lines = out.decode().splitlines()
  with open(tmp_path / 'new/completions.json') as file:
    results = json.load(file)
  assert results['images'] == [3, 1]
  assert results['source'] == 'set, validation split'
  for line, number, bits in zip(
    lines[:2], (3, 1), results['bits_per_dim'], strict=True
  ):
    figures = ' '.join(f'{x:.4f}' for x in bits)
    assert line == (
      f'image {number}: {figures} bits per dim [set, validation split]'
    )
    assert len(bits) == 2
    assert all(5 < x < 12 for x in bits)
  with Image.open(tmp_path / 'new/completions.png') as picture:
    assert picture.width > picture.height > 100


@pytest.mark.parametrize(
  ('vocab_size', 'message'),
  [
    (65, 'prompt: got a token 65, expected tokens from 0 to 64'),
    (300, 'vocab_size: got 300, expected at most 256'),
  ],
)
def test_tokens_are_bytes_of_the_vocabulary(
  vocab_size, message, capsys, tmp_path
):
  text = tmp_path / 'text'
  text.write_bytes(bytes(2000))
  binding = f'trax_hourglass.HourglassLM.vocab_size = {vocab_size}'
  train.main(arguments(text, tmp_path, 'train.steps = 1', binding))
  capsys.readouterr()
  argv = ['generate', f'--output_dir={tmp_path}', '--prompt=A']
  assert message in fails(capsys, argv, main=generate.main)


PROMPTS = (b'A\xff b', b'Cd', b'E, of any length')


def test_prompts_of_a_file(run, capsysbinary, tmp_path):
  """In batches or not, compressed or not, to stdout or a file."""
  path, output = tmp_path / 'prompts', tmp_path / 'output.jsonl'
  path.write_bytes(b'\n'.join(PROMPTS) + b'\n')
  flags = (f'--output_dir={run}', '--length=9', '--seed=3')
  out, err = generated(capsysbinary, *flags, f'--prompts_file={path}')
  rows = [json.loads(line) for line in out.splitlines()]
  assert b'27 bytes, ' in err
  for i, (row, prompt) in enumerate(zip(rows, PROMPTS, strict=True)):
    assert row['prompt'] == prompt.decode(errors='replace')
    assert row['text'] == bytes(row['tokens']).decode(errors='replace')
    assert len(row['tokens']) == 9
    assert (5 < row['bits'] < 12, row['ended']) == (True, 'length')
    if not i:  # The first row is that of --prompt.
      (tmp_path / 'one').write_bytes(prompt)
      alone, _ = generated(
        capsysbinary, *flags, f'--prompt_file={tmp_path}/one'
      )
      assert alone == prompt + bytes(row['tokens'])
  stop = bytes(rows[1]['tokens'][3:5]), bytes(rows[2]['tokens'][-1:])
  path = tmp_path / 'prompts.JSONL.gz'
  lines = (
    json.dumps({'id': i, 'prompt': row['prompt']}) + '\n'
    for i, row in enumerate(rows)
  )
  path.write_bytes(gzip.compress(''.join(lines).encode()))
  out, _ = generated(
    capsysbinary,
    *flags,
    f'--prompts_file={path}',
    '--prompts_at_once=1',
    f'--output={output}',
    *(f'--stop={os.fsdecode(x)}' for x in stop),
  )
  assert out == b''
  stopped = [json.loads(line) for line in output.read_text().splitlines()]
  assert [row['id'] for row in stopped] == [0, 1, 2]
  for row in stopped[1:]:
    assert list(row) == ['id', 'prompt', 'text', 'tokens', 'bits', 'ended']
    assert row['ended'] == 'stop'
    assert bytes(row['tokens']).endswith(stop)


def test_a_row_of_a_file_follows_from_its_number(run):
  whole = commands.continue_prompts(str(run), PROMPTS, 9)
  (whole,) = whole
  parts = commands.continue_prompts(str(run), PROMPTS, 9, prompts_at_once=2)
  tokens = np.concatenate([part.tokens for part in parts])
  np.testing.assert_array_equal(tokens, whole.tokens)


def test_stop_ends_the_text(run, capsysbinary):
  flags = (f'--output_dir={run}', '--prompt=A', '--length=9', '--seed=3')
  out, _ = generated(capsysbinary, *flags)
  stop = out[4:6]
  stopped, err = generated(capsysbinary, *flags, f'--stop={os.fsdecode(stop)}')
  assert stopped == out[: out.index(stop, 1) + 2]
  assert f'{len(stopped) - 1} bytes, '.encode() in err


@pytest.mark.parametrize(
  ('name', 'content', 'flags', 'message'),
  [
    ('x', b'a\n\nb', [], 'x, line 2: got an empty prompt, expected some text'),
    ('x', b'', [], 'x: got an empty file, expected a prompt a line'),
    ('x', b'a\n' + b'b' * 40, [], 'prompt 1: got 40 tokens, expected fewer'),
    ('x.jsonl', b'{"prompt": "a"}\n{', [], 'x.jsonl, line 2: got no JSON (Exp'),
    ('x.jsonl', b'{"prompt": 3}', [], 'x.jsonl, line 1: got no text as "promp'),
    ('x.jsonl', b'["prompt"]', [], 'x.jsonl, line 1: got no text as "prompt"'),
    ('x.jsonl', b'{"prompt": ""}', [], 'x.jsonl, line 1: got an empty prompt'),
    ('x', b'a', ['--prompt=a'], '--prompt has no effect beside --prompts_file'),
    ('x', b'a', ['--stop='], "stop: got b'', expected bytes, at least one"),
    ('x', b'a', ['--prompts_at_once=0'], 'prompts_at_once: got 0'),
    ('x', b'a', ['--output=/no/x'], '/no/x: cannot be written (No such file'),
    (None, None, ['--output=x'], '--output has no effect without --prompts_f'),
    (None, None, ['--prompts_file=/no/x'], '/no/x: cannot be read (No such'),
  ],
)
def test_mistakes_in_prompts(
  run, capsys, tmp_path, name, content, flags, message
):
  argv = ['generate', f'--output_dir={run}', '--length=2', *flags]
  if name:
    (tmp_path / name).write_bytes(content)
    argv.append(f'--prompts_file={tmp_path}/{name}')
  assert message in fails(capsys, argv, main=generate.main)
  assert not name or [x.name for x in tmp_path.iterdir()] == [name]
