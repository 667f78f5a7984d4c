"""Texts and images from trained models, as gin files configure them."""

from collections.abc import Iterator, Sequence
import dataclasses
from typing import TypedDict, Unpack

import gin
import numpy as np
from trax import shapes

from trax_hourglass.configuration import (
  bindings,
  explain,
  trained,
  values,
)
from trax_hourglass.data import images as images_lib
from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.generation import Sample, Sampler, completion
from trax_hourglass.generation import prompts as prompts_lib
from trax_hourglass.training.checkpoints import load

_DEFAULT_LENGTH = 500


class Draw(TypedDict, total=False):
  """How tokens are drawn, as for `generation.Sampler.sample`."""

  temperature: float
  top_k: int | None
  top_p: float | None
  seed: int


@dataclasses.dataclass(frozen=True)
class CompletedImages:
  """Images of a split, completed by a model.

  Attributes:
    completions: The images, what the model made of them, and the bits.
    numbers: Which images of the split they are.
    source: The name of the data and of the split.
    model: The checkpoint and its configuration.
  """

  completions: completion.Completions
  numbers: tuple[int, ...]
  source: str
  model: trained.Trained


def generate_text(
  checkpoint: str | None = None,
  prompt: bytes = b'',
  length: int | None = None,
  *,
  stop: Sequence[bytes] = (),
  draw: Draw | None = None,
  **configuration: Unpack[trained.Configuration],
) -> Iterator[Sample]:
  """Returns an iterator over the bytes that a model writes after a prompt.

  Names checkpoint and configuration on standard error.

  Args:
    checkpoint: A *.pkl.gz file, or a directory: its newest; or `pretrained`.
    prompt: The bytes to continue.
    length: How many bytes to generate, at most; by default 500, or fewer where
      the model has no room for more.
    stop: Strings that end it.
    draw: How they are drawn.
    **configuration: As for `trained.configure`.

  Raises:
    UserError: At a user's mistake.
  """
  source = trained.configure(checkpoint, **configuration)
  sampler = _sampler(source)
  if length is None:
    length = _default_length(sampler, prompt)
  parts = sampler.stream(prompt, length, stop=stop, **(draw or {}))
  source.report()
  return parts


def continue_prompts(
  checkpoint: str | None = None,
  prompts: Sequence[bytes] = (b'',),
  length: int | None = None,
  *,
  prompts_at_once: int = 16,
  stop: Sequence[bytes] = (),
  draw: Draw | None = None,
  **configuration: Unpack[trained.Configuration],
) -> Iterator[Sample]:
  """Returns an iterator over continuations of prompts, in batches of rows.

  Each depends only on the seed, the number of its prompt and the prompt. Names
  checkpoint and configuration on standard error.

  Args:
    checkpoint: A *.pkl.gz file, or a directory: its newest; or `pretrained`.
    prompts: The bytes to continue, of any lengths.
    length: How many bytes to generate after each, at most; as for
      `generate_text`.
    prompts_at_once: How many go through the model together.
    stop: Strings that end a row.
    draw: How tokens are drawn.
    **configuration: As for `trained.configure`.

  Raises:
    UserError: At a user's mistake.
  """
  check_positive(prompts_at_once=prompts_at_once)
  source = trained.configure(checkpoint, **configuration)
  sampler = _sampler(source)
  if length is None:
    length = _default_length(sampler, prompts)
  options = {'stop': stop, **(draw or {})}
  sampler.stream(prompts, length, **options)  # Checks all before the first.
  source.report()
  return (
    sampler.sample(
      prompts[first : first + prompts_at_once],
      length,
      first_row=first,
      **options,
    )
    for first in range(0, len(prompts), prompts_at_once)
  )


def complete_images(
  checkpoint: str | None = None,
  numbers: Sequence[int] = (0, 1, 2, 3),
  n_completions: int = 3,
  *,
  draw: Draw | None = None,
  **configuration: Unpack[trained.Configuration],
) -> CompletedImages:
  """Returns images with lower halves that a model generates after the upper.

  They are of the split on which the model is evaluated while it trains. Names
  checkpoint and configuration on standard error.

  Args:
    checkpoint: A *.pkl.gz file, or a directory: its newest; or `pretrained`.
    numbers: Which images of the split.
    n_completions: How many lower halves for each.
    draw: How tokens are drawn.
    **configuration: As for `trained.configure`. `train.inputs` has to be bound
      to `trax_hourglass.image_inputs`.

  Raises:
    UserError: At a user's mistake.
  """
  source = trained.configure(checkpoint, **configuration)
  with explain.config_errors():
    images = values.argument('train.inputs', 'images')
    name = values.argument('train.inputs', 'eval_split') or 'validation'
    images_lib.check_images(images)
    split = images.split(name)
  for number in numbers:
    if not 0 <= number < len(split):
      raise UserError(
        f'images: got {number}, expected numbers from 0 to {len(split) - 1}'
      )
  chosen = np.stack([split[number] for number in numbers])
  _make_room(chosen[0].size)
  completed = completion.complete(
    _sampler(source), chosen, n_completions, **(draw or {})
  )
  source.report()
  return CompletedImages(
    completed, tuple(numbers), f'{images.name}, {name} split', source
  )


def _make_room(n_tokens):
  """Lets our model take a whole image, whatever its configuration says."""
  model = values.without_macros(values.bound('train.model'))
  scope = '/'.join(getattr(model, 'scopes', ()))
  name = 'max_inference_length'
  if (values.argument('train.model', name) or 0) < n_tokens:
    with gin.unlock_config():
      gin.bind_parameter((scope, 'trax_hourglass.HourglassLM', name), n_tokens)


def _default_length(sampler, prompts):
  if sampler.limit is None:
    return _DEFAULT_LENGTH
  room = sampler.limit - max(map(len, prompts_lib.rows(prompts)))
  # Without room the prompt is refused.
  return max(min(_DEFAULT_LENGTH, room), 1)


def _sampler(source: trained.Trained) -> Sampler:
  """Returns a sampler of the configured model, with a checkpoint's weights."""
  if values.selector('train.model') == 'trax.models.HourglassLM':
    raise UserError(
      "trax.models.HourglassLM has no mode 'predict'; give "
      '--model=trax_hourglass.HourglassLM, which takes its weights'
    )
  with explain.config_errors():
    model = bindings.model('predict')
    load.set_weights(
      model, source.checkpoint, shapes.ShapeDtype((1, 1), np.int32)
    )
  sampler = Sampler(model)
  if (sampler.vocab_size or 0) > 256:
    raise UserError(
      f'vocab_size: got {sampler.vocab_size}, expected at most 256: tokens are '
      'written as bytes'
    )
  return sampler
