"""The Makefile's recipes work."""

from pathlib import Path
import re
import shlex
import subprocess
import sys

import pytest

from trax_hourglass import load_checkpoint

ROOT = Path(__file__).parents[1]
_TOY = (
  'train.steps = 2',
  'train.eval_frequency = 1',
  'LENGTH = 16',
  'trax_hourglass.HourglassLM.d_model = 8',
  'trax_hourglass.HourglassLM.d_ff = 8',
  'TEXT = @trax_hourglass.text_file()',
)


def recipe(target):
  """Returns the commands of a target, each a list of words with variables."""
  text = (ROOT / 'Makefile').read_text()
  lines = re.search(rf'^{target}:.*\n((?:\t.*\n)+)', text, re.MULTILINE)[1]
  return [shlex.split(line) for line in lines.replace('\\\n', '').splitlines()]


@pytest.mark.slow
def test_quickstart_trains_and_shows_a_sample(text, tmp_path):
  toy = (*_TOY, f"trax_hourglass.text_file.path = '{text}'")
  variables = {'$(bin)/python': sys.executable, '$(OUTPUT_DIR)': str(tmp_path)}
  train, generate = (
    [re.sub(r'\$\(.*?\)(/python)?', lambda m: variables[m[0]], w) for w in line]
    for line in recipe('quickstart')
  )
  outputs = [
    subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    for argv in (
      [*train, *(f'--config={x}' for x in toy)],
      [*generate, '--length=5'],
    )
  ]
  assert 'score ' in outputs[0].stdout
  assert load_checkpoint(str(tmp_path))['step'] == 2
  assert outputs[1].stdout.startswith('The history of ')
