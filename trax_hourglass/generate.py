"""Generates with a trained model: python -m trax_hourglass.generate.

A model of text continues --prompt by --length bytes, by default 500 or as many
as it has room for, which are written to stdout as they come, after the prompt.
With --prompts_file it continues many prompts at once, and writes a JSON object
for each to stdout or --output.

A model of images, whose configuration binds `train.inputs` to
`trax_hourglass.image_inputs`, is given the upper halves of some --images of the
split on which it is evaluated in training; it makes --completions of each, and
leaves completions.png and completions.json in --output_dir, by default beside
the checkpoint.

If no --config_file is given, the configuration with which the checkpoint was
trained is used, and named on standard error. --pretrained=NAME takes a trained
model that ships with this package in place of a checkpoint.
"""

import codecs
from collections.abc import Sequence
import contextlib
import io
import json
import os
import sys
import time

from absl import flags
import numpy as np

from trax_hourglass import addresses, outputs, starting
from trax_hourglass.configuration import (
  checkpoint_flag,
  command_line,
  exits,
  length_flag,
  output_flag,
)
from trax_hourglass.errors import UserError

commands = starting.lazy('trax_hourglass.commands')
directories = starting.lazy('trax_hourglass.configuration.directories')
trained = starting.lazy('trax_hourglass.configuration.trained')
archives = starting.lazy('trax_hourglass.data.archives')
generation = starting.lazy('trax_hourglass.generation')
layers = starting.lazy('trax_hourglass.layers')
checkpoints = starting.lazy('trax_hourglass.training.checkpoints')

FLAGS = flags.FLAGS
for _name in command_line.MODEL_FLAGS:
  flags.declare_key_flag(_name)
for _module in (checkpoint_flag, length_flag, output_flag):
  flags.adopt_module_key_flags(_module)
flags.DEFINE_string('prompt', None, 'Text to continue; none by default.')
flags.DEFINE_string('prompt_file', None, 'A file to continue; - for stdin.')
flags.DEFINE_string(
  'prompts_file',
  None,
  'A file with one prompt per line, or FILE.jsonl with a "prompt" in each; - '
  'for stdin.',
)
flags.DEFINE_integer(
  'prompts_at_once', 16, 'How many prompts are continued at once.'
)
flags.DEFINE_multi_string('stop', [], 'Text that ends a continuation')
flags.DEFINE_float(
  'temperature', 1.0, 'Divides the logits; 0 takes the likeliest token.'
)
flags.DEFINE_integer('top_k', None, 'Draw from this many likeliest tokens.')
flags.DEFINE_float(
  'top_p', None, 'Draw from the fewest tokens of this probability in all.'
)
flags.DEFINE_integer('seed', 0, 'The same seed gives the same output.')
flags.DEFINE_list(
  'images', ['0', '1', '2', '3'], 'Which images to complete, from 0.'
)
flags.DEFINE_integer('completions', 3, 'Completions of each image.')

_TEXT_FLAGS = ('prompt', 'prompt_file')
_BATCH_FLAGS = ('prompts_file', 'output', 'prompts_at_once')


@exits.exit_codes()
def main(argv: Sequence[str]) -> None:
  command_line.start(argv, check=checkpoint_flag.checkpoint)
  generation.check_draw(FLAGS.temperature, FLAGS.top_k, FLAGS.top_p)
  model = trained.configure(
    checkpoint_flag.checkpoint(),
    pretrained=FLAGS.pretrained,
    **command_line.configuration(),
  )
  if model.takes_images:
    _check_unused(
      'on a model of images', 'length', 'stop', *_TEXT_FLAGS, *_BATCH_FLAGS
    )
    _complete_images(model)
    return
  _check_unused('on a model of text', 'images', 'completions')
  if FLAGS.pretrained is not None:
    _check_unused('on a pretrained model of text', 'output_dir')
  if FLAGS.prompts_file is None:
    _check_unused('without --prompts_file', *_BATCH_FLAGS[1:])
    _continue_text(model)
  else:
    _check_unused('beside --prompts_file', *_TEXT_FLAGS)
    directories.check_different(
      **{f'--{name}': FLAGS[name].value for name in ('prompts_file', 'output')}
    )
    _continue_prompts(model)


def _check_unused(where, *names):
  for name in names:
    if FLAGS[name].present:
      raise UserError(f'--{name} has no effect {where}; leave it out')


def _draw():
  names = ('temperature', 'top_k', 'top_p', 'seed')
  return {name: FLAGS[name].value for name in names}


def _continue_text(model):
  prompt = _prompt()
  parts = commands.generate_text(
    model.checkpoint,
    prompt,
    FLAGS.length,
    stop=_stop(),
    draw=_draw(),
    **command_line.configuration(),
  )
  start, n_bytes, nats = time.monotonic(), 0, 0.0
  write = _writer()
  write(prompt)
  for part in parts:
    write(*part.texts())
    n_bytes += part.lengths.sum()
    nats -= part.log_probs.sum(dtype=np.float64)
  print(file=sys.stderr)
  _report(n_bytes, nats, start)


def _continue_prompts(model):
  stop = _stop()
  entries = generation.prompt_files.entries(
    _content('prompts_file'), FLAGS.prompts_file
  )
  with contextlib.ExitStack() as stack:
    write = _writer()
    if FLAGS.output is not None:
      file = stack.enter_context(outputs.replacement(FLAGS.output))
      write = file.write
    samples = commands.continue_prompts(
      model.checkpoint,
      [entry.prompt for entry in entries],
      FLAGS.length,
      prompts_at_once=FLAGS.prompts_at_once,
      stop=stop,
      draw=_draw(),
      **command_line.configuration(),
    )
    start, n_bytes, nats = time.monotonic(), 0, 0.0
    firsts = range(0, len(entries), FLAGS.prompts_at_once)
    for first, sample in zip(firsts, samples, strict=True):
      batch = entries[first : first + len(sample.tokens)]
      write(generation.prompt_files.results(batch, sample, stop).encode())
      n_bytes += sample.lengths.sum()
      nats -= sample.log_probs.sum(dtype=np.float64)
  _report(n_bytes, nats, start)


def _report(n_bytes, nats, start):
  rate = n_bytes / (time.monotonic() - start)
  bits = layers.metrics.nats_to_bits(nats) / n_bytes
  print(
    f'{n_bytes:,} bytes, {bits:.3f} bits per byte, '
    f'{rate:.3g} bytes/s, compilation included',
    file=sys.stderr,
  )


def _prompt() -> bytes:
  if FLAGS.prompt is not None and FLAGS.prompt_file is not None:
    raise UserError('--prompt and --prompt_file are both given, expected one')
  if FLAGS.prompt_file is not None:
    return _content('prompt_file')
  # Bytes of the command line that are not UTF-8 come as they were.
  return os.fsencode(FLAGS.prompt or '')


def _content(name) -> bytes:
  """Returns the content of the file that a flag names."""
  path = FLAGS[name].value
  if path == '-' and sys.stdin is None:
    raise UserError(f'--{name}: got -, but stdin is closed; give a file')
  if path == '-':
    stdin = io.BytesIO(sys.stdin.buffer.read())
    return archives.unpack(stdin, f'--{name}=-')
  return archives.read_bytes(path)


def _stop() -> tuple[bytes, ...]:
  return generation.stop_strings([os.fsencode(text) for text in FLAGS.stop])


def _writer():
  """Returns a function that writes bytes to stdout.

  The stdout of a notebook takes text alone: bytes that are not UTF-8 are shown
  as replacement characters there.
  """
  decoder = codecs.getincrementaldecoder('utf-8')(errors='replace')

  def write(*texts):
    if hasattr(sys.stdout, 'buffer'):
      sys.stdout.buffer.writelines(texts)
    else:
      sys.stdout.writelines(map(decoder.decode, texts))
    sys.stdout.flush()

  return write


def _complete_images(model):
  given = checkpoint_flag.checkpoint()
  if not FLAGS.output_dir and (given is None or addresses.is_address(given)):
    raise UserError(
      '--output_dir: not given, expected where to write, because the '
      'checkpoint is in no output directory'
    )
  directory = os.path.expanduser(
    FLAGS.output_dir or checkpoints.find.find_run(model.checkpoint)
  )
  stem = os.path.join(directory, 'completions')
  with (
    directories.writable(directory),
    outputs.replacement(f'{stem}.json') as file,
    outputs.replacement(f'{stem}.png') as picture,
  ):
    found = commands.complete_images(
      model.checkpoint,
      _numbers(),
      FLAGS.completions,
      draw=_draw(),
      **command_line.configuration(),
    )
    bits_per_dim = found.completions.bits.tolist()
    results = {
      'source': found.source,
      'checkpoint': found.model.checkpoint,
      'configuration': list(found.model.config_files),
      **_draw(),
      'images': found.numbers,
      'bits_per_dim': bits_per_dim,
    }
    file.write(json.dumps(results, indent=1).encode())
    generation.completion.plot_completions(
      found.completions, found.source, picture
    )
  for number, bits in zip(found.numbers, bits_per_dim, strict=True):
    figures = ' '.join(f'{x:.4f}' for x in bits)
    print(f'image {number}: {figures} bits per dim [{found.source}]')
  print(f'output    {stem}.png, {stem}.json')


def _numbers() -> list[int]:
  """Returns the numbers of the images to complete."""
  for text in FLAGS.images or ['']:
    if not text.isdecimal():
      raise UserError(
        f'--images: got {text!r}, expected numbers, separated by commas'
      )
  return list(map(int, FLAGS.images))


if __name__ == '__main__':
  main(sys.argv)
