"""Generates with a trained model: python -m trax_hourglass.generate.

A model of text continues --prompt by --length bytes, which are written to
stdout as they come, after the prompt. A model of images, whose configuration
binds `train.inputs` to `trax_hourglass.image_inputs`, is given the upper halves
of some --images of the split on which it is evaluated in training; it makes
--completions of each, and leaves completions.png and completions.json in
--output_dir, by default beside the checkpoint.

If no --config_file is given, the configuration with which the checkpoint was
trained is used, and named on standard error.
"""

import codecs
from collections.abc import Sequence
import io
import json
import os
import sys
import time

from absl import flags
import numpy as np
from trax import trainer_flags

from trax_hourglass import commands
from trax_hourglass.configuration import (
  checkpoint_flag,
  command_line,
  directories,
  exits,
  length_flag,
  trained,
)
from trax_hourglass.data import archives
from trax_hourglass.errors import UserError
from trax_hourglass.generation import check_draw, completion
from trax_hourglass.layers.metrics import nats_to_bits
from trax_hourglass.training.checkpoints import find

FLAGS = flags.FLAGS
for _module in (trainer_flags, checkpoint_flag, length_flag):
  flags.adopt_module_key_flags(_module)
flags.DEFINE_string('prompt', None, 'Text to continue; none by default.')
flags.DEFINE_string('prompt_file', None, 'A file to continue; - for stdin.')
flags.DEFINE_float(
  'temperature', 1.0, 'Divides the logits; 0 takes the likeliest token.'
)
flags.DEFINE_integer('top_k', None, 'Draw from that many likeliest tokens.')
flags.DEFINE_float(
  'top_p', None, 'Draw from the fewest likeliest tokens of this probability.'
)
flags.DEFINE_integer('seed', 0, 'The same seed gives the same output.')
flags.DEFINE_list(
  'images', ['0', '1', '2', '3'], 'The numbers of the images to complete.'
)
flags.DEFINE_integer('completions', 3, 'How many of each image.')

_LENGTH = 500


@exits.exit_codes()
def main(argv: Sequence[str]) -> None:
  command_line.start(argv)
  check_draw(FLAGS.temperature, FLAGS.top_k, FLAGS.top_p)
  model = trained.configure(
    checkpoint_flag.checkpoint(), **command_line.configuration()
  )
  if model.takes_images:
    _check_unused('images', 'prompt', 'prompt_file', 'length')
    _complete_images(model)
  else:
    _check_unused('text', 'images', 'completions')
    _continue_text(model)


def _check_unused(kind, *names):
  for name in names:
    if FLAGS[name].present:
      raise UserError(
        f'--{name} has no effect on a model of {kind}; leave it out'
      )


def _draw() -> commands.Draw:
  names = ('temperature', 'top_k', 'top_p', 'seed')
  return {name: FLAGS[name].value for name in names}


def _continue_text(model):
  prompt = _prompt()
  parts = commands.generate_text(
    model.checkpoint,
    prompt,
    length_flag.length(_LENGTH),
    draw=_draw(),
    **command_line.configuration(),
  )
  start, n_bytes, nats = time.time(), 0, 0.0
  write = _writer()
  write(prompt)
  for part in parts:
    write(*part.texts())
    n_bytes += part.tokens.size
    nats -= part.log_probs.sum(dtype=np.float64)
  rate = n_bytes / (time.time() - start)
  print(
    f'\n{n_bytes:,} bytes, {nats_to_bits(nats) / n_bytes:.3f} bits per byte, '
    f'{rate:.3g} bytes/s, compilation included',
    file=sys.stderr,
  )


def _prompt() -> bytes:
  if FLAGS.prompt is not None and FLAGS.prompt_file is not None:
    raise UserError('--prompt and --prompt_file are both given, expected one')
  if FLAGS.prompt_file == '-':
    stdin = io.BytesIO(sys.stdin.buffer.read())
    return archives.unpack(stdin, '--prompt_file=-')
  if FLAGS.prompt_file is not None:
    return archives.read_bytes(FLAGS.prompt_file)
  # Bytes of the command line that are not UTF-8 come as they were.
  return os.fsencode(FLAGS.prompt or '')


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
  directory = os.path.expanduser(
    FLAGS.output_dir or find.find_run(model.checkpoint)
  )
  with directories.writable(directory):
    found = commands.complete_images(
      model.checkpoint,
      _numbers(),
      FLAGS.completions,
      draw=_draw(),
      **command_line.configuration(),
    )
  stem = os.path.join(directory, 'completions')
  bits_per_dim = found.completions.bits.tolist()
  with open(stem + '.json', 'w') as file:
    json.dump(
      {
        'source': found.source,
        'checkpoint': found.model.checkpoint,
        'configuration': list(found.model.config_files),
        **_draw(),
        'images': found.numbers,
        'bits_per_dim': bits_per_dim,
      },
      file,
      indent=1,
    )
  completion.plot_completions(found.completions, found.source, stem + '.png')
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
