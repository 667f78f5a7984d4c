"""Measures what a trained model is worth on a text of another kind.

python docs/measurements/fine_tuning.py STEPS trains on the sources of Python's
standard library, from `--pretrained=wikipedia_sample` and from random weights,
with the same configuration. It counts CPU time, compilation included, which
other work on the machine does not change much; give it one core, with
`taskset -c 0`.
"""

import pathlib
import sys
import sysconfig
import tempfile
import time

from trax_hourglass import commands, pretrained_models

NAME = 'wikipedia_sample'
N_BYTES = 100_000  # Of the test split.


def main():
  steps = int(sys.argv[1])
  with tempfile.TemporaryDirectory() as folder:
    config = [
      'TEXT = @trax_hourglass.text_file()',
      f'trax_hourglass.text_file.path = {_sources(folder)!r}',
      f'trax_hourglass.evaluate.n_bytes = {N_BYTES}',
      'trax_hourglass.evaluate.text = %TEXT',
    ]
    print('as it ships:', commands.evaluate(pretrained=NAME, config=config))
    training = [
      f'STEPS = {steps}',
      f'WARMUP_STEPS = {steps // 10}',
      f'train.eval_frequency = {steps}',
      'trax_hourglass.evaluate.text = None',
    ]
    own = pretrained_models.FOLDER / NAME / pretrained_models.CONFIG
    starts = {'tuned': {'pretrained': NAME}, 'new': {'config_file': str(own)}}
    for name, start in starts.items():
      run = f'{folder}/{name}'
      before = time.process_time()
      commands.train(run, config=[*config, *training], **start)
      seconds = time.process_time() - before
      score = commands.evaluate(run, config=config)
      print(f'{name}: {score}; trained for {seconds:.0f} CPU seconds')


def _sources(folder):
  """Writes the sources to a file in a folder; returns its path."""
  path = pathlib.Path(folder, 'sources.txt')
  modules = sorted(pathlib.Path(sysconfig.get_path('stdlib')).glob('*.py'))
  path.write_bytes(b''.join(module.read_bytes() for module in modules))
  return str(path)


if __name__ == '__main__':
  main()
