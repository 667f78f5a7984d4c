"""Generates with a trained model: python -m trax_hourglass.generate.

A model of texts continues --prompt by --length bytes, which are written to
stdout as they come, behind the prompt. A model of images, whose configuration
binds `train.inputs` to `trax_hourglass.image_inputs`, is given the upper halves
of some --images of the split that evaluations while training see; it makes
--completions of each, and leaves completions.png and completions.json in
--output_dir, by default beside the checkpoint.

If no --config_file is given, the configuration that the checkpoint was trained
with is used, and named on standard error.
"""

import codecs
from collections.abc import Sequence
import io
import json
import os
import sys
import time

from absl import flags
import gin
import numpy as np
import tensorflow as tf
from trax import shapes, trainer_flags

from trax_hourglass.configuration import (
  bindings,
  command_line,
  directories,
  exits,
  explain,
  length_flag,
  trained,
  values,
)
from trax_hourglass.data import archives
from trax_hourglass.data import images as images_lib
from trax_hourglass.errors import UserError
from trax_hourglass.generation import Sampler, check_draw, completion
from trax_hourglass.layers.metrics import nats_to_bits
from trax_hourglass.training.checkpoints import find, load

FLAGS = flags.FLAGS
for _module in (trainer_flags, trained, length_flag):
  flags.adopt_module_key_flags(_module)
flags.DEFINE_string('prompt', None, 'Text to continue; none by default.')
flags.DEFINE_string('prompt_file', None, 'A file with it; - for stdin.')
flags.DEFINE_float(
  'temperature', 1.0, 'Logits are divided by it; 0: always the likeliest.'
)
flags.DEFINE_integer('top_k', None, 'Draw from so many of the likeliest.')
flags.DEFINE_float(
  'top_p', None, 'Draw from the fewest likeliest that have this probability.'
)
flags.DEFINE_integer('seed', 0, 'The same seed gives the same output.')
flags.DEFINE_list('images', ['0', '1', '2', '3'], 'Which ones, by number.')
flags.DEFINE_integer('completions', 3, 'How many of each image.')

_LENGTH = 500


@exits.exit_codes()
def main(argv: Sequence[str]) -> None:
  run(argv)


def run(argv: Sequence[str]) -> None:
  """Does what the command does; takes its command line.

  Raises:
    UserError: At a user's mistake.
  """
  command_line.start(argv)
  check_draw(FLAGS.temperature, FLAGS.top_k, FLAGS.top_p)
  source = trained.configure()
  if values.selector('train.inputs') == 'trax_hourglass.image_inputs':
    _check_unused('images', 'prompt', 'prompt_file', 'length')
    _complete_images(source)
  else:
    _check_unused('text', 'images', 'completions')
    _continue_text(source)


def _check_unused(kind, *names):
  for name in names:
    if FLAGS[name].present:
      raise UserError(
        f'--{name} has no effect on a model of {kind}; leave it out'
      )


def _continue_text(source):
  prompt, length = _prompt(), length_flag.length(_LENGTH)
  sampler = _sampler(source.checkpoint)
  start, n_bytes, nats = time.time(), 0, 0.0
  parts = sampler.stream(prompt, length, **_how())
  source.report()
  write = _writer()
  write(prompt)
  for part in parts:
    write(*part.texts())
    n_bytes += part.tokens.size
    nats -= part.log_probs.sum(dtype=np.float64)
  rate = n_bytes / (time.time() - start)
  print(
    f'\n{n_bytes:,} bytes, {nats_to_bits(nats) / n_bytes:.3f} bits per byte, '
    f'{rate:.3g} bytes/s with compiling',
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
  # Bytes of the command line that are no UTF-8 come as they were.
  return os.fsencode(FLAGS.prompt or '')


def _writer():
  """Returns a function that writes bytes to stdout.

  The stdout of a notebook takes text alone: bytes that are no UTF-8 are shown
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


def _complete_images(origin):
  path = origin.checkpoint
  with explain.config_errors():
    images = values.argument('train.inputs', 'images')
    split = values.argument('train.inputs', 'eval_split') or 'validation'
    images_lib.check_images(images)
    of_split = images.split(split)
  numbers = _numbers(len(of_split))
  chosen = np.stack([of_split[number] for number in numbers])
  _make_room(chosen[0].size)
  directory = FLAGS.output_dir or find.find_run(path)
  with directories.writable(os.path.expanduser(directory)):
    sampler = _sampler(path)
    completed = completion.complete(
      sampler, chosen, FLAGS.completions, **_how()
    )
  origin.report()
  source = f'{images.name}, {split} split'
  stem = os.path.join(os.path.expanduser(directory), 'completions')
  with tf.io.gfile.GFile(stem + '.json', 'w') as file:
    json.dump(
      {
        'source': source,
        'checkpoint': path,
        'configuration': list(origin.config_files),
        **_how(),
        'images': numbers,
        'bits_per_dim': completed.bits.tolist(),
      },
      file,
      indent=1,
    )
  completion.plot_completions(completed, source, stem + '.png')
  for number, bits in zip(numbers, completed.bits, strict=True):
    figures = ' '.join(f'{x:.4f}' for x in bits)
    print(f'image {number}: {figures} bits per dim [{source}]')
  print(f'output    {stem}.png, {stem}.json')


def _numbers(n_images) -> list[int]:
  """Returns the numbers of the images to complete."""
  for text in FLAGS.images or ['']:
    if not (text.isdecimal() and int(text) < n_images):
      raise UserError(
        f'--images: got {text!r}, expected numbers from 0 to {n_images - 1}'
      )
  return list(map(int, FLAGS.images))


def _make_room(n_tokens):
  """Lets our model take a whole image, whatever its configuration says."""
  model = values.without_macros(values.bound('train.model'))
  scope = '/'.join(getattr(model, 'scopes', ()))
  name = 'max_inference_length'
  if (values.argument('train.model', name) or 0) < n_tokens:
    with gin.unlock_config():
      gin.bind_parameter((scope, 'trax_hourglass.HourglassLM', name), n_tokens)


def _how():
  names = ('temperature', 'top_k', 'top_p', 'seed')
  return {name: FLAGS[name].value for name in names}


def _sampler(path) -> Sampler:
  """Returns a sampler of the configured model, with a checkpoint's weights."""
  if values.selector('train.model') == 'trax.models.HourglassLM':
    raise UserError(
      "trax.models.HourglassLM has no mode 'predict'; give "
      '--model=trax_hourglass.HourglassLM, which takes its weights'
    )
  with explain.config_errors():
    model = bindings.model('predict')
    load.set_weights(model, path, shapes.ShapeDtype((1, 1), np.int32))
  sampler = Sampler(model)
  if (sampler.vocab_size or 0) > 256:
    raise UserError(
      f'vocab_size: got {sampler.vocab_size}, expected at most 256: tokens are '
      'written as bytes'
    )
  return sampler


if __name__ == '__main__':
  main(sys.argv)
