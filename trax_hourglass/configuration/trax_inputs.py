"""Batch sizes in a gin file of Trax's, and data of ours in such batches.

`--dataset=trax_hourglass.enwik8` replaces the file's data set with one of ours,
in batches of the same size and length. This helps if the original data can no
longer be had, or to try somebody else's file.
"""

from collections.abc import Sequence
import dataclasses

import gin
import jax

from trax_hourglass.configuration import values
from trax_hourglass.configuration.selectors import PREFIX
from trax_hourglass.configuration.values import bound, value
from trax_hourglass.errors import UserError, check_positive

# Data sets that --dataset can name; of images, the split for evaluation.
TEXTS = ('enwik8', 'enwik8_or_sample', 'text_file', 'wikipedia_sample')
IMAGES = {
  'cifar10': 'test',
  'downsampled_imagenet': 'validation',
  'image_folder': 'validation',
  'imagenet32': 'validation',
  'imagenet64': 'validation',
  'imagenet_or_photos': 'validation',
  'photo_patches': 'validation',
  'photos32': 'validation',
}

# Bytes between the starts of the authors' windows.
_STRIDES = {'t2t_enwik8_l2k': 512}


@dataclasses.dataclass(frozen=True)
class Sizes:
  """Sizes of the batches of `train.inputs`.

  Attributes:
    batch_size: Sequences in a training batch, over all devices; `None` if not
      bound.
    eval_batch_size: The same for evaluation batches.
    length: Tokens in a sequence; `None` if not bound.
  """

  batch_size: int | None
  eval_batch_size: int | None
  length: int | None


def selector() -> str:
  """Returns the full selector of `train.inputs`, by default Trax's."""
  found = bound('train.inputs')
  if found is None:
    return 'trax.data.batcher'
  return values.selector('train.inputs') or str(found)


def sizes() -> Sizes:
  """Returns the sizes of the batches that `train.inputs` is bound to.

  Raises:
    UserError: If the length of our own inputs is not positive.
  """
  match selector():
    case 'trax.data.batcher':
      return _of_batcher()
    case 'trax.data.make_inputs':
      return _of_streams()
    case inputs:
      return _of_ours(inputs)


def replace(dataset: str) -> None:
  """Binds `train.inputs` and the evaluation to a data set of ours.

  Bindings that our functions already have stay.

  Args:
    dataset: The value of --dataset, such as `'trax_hourglass.enwik8'`.

  Raises:
    UserError: If we have none of that name, or `train.inputs` is not Trax's.
  """
  name = dataset.removeprefix(PREFIX)
  if name not in (*TEXTS, *IMAGES):
    known = ', '.join(PREFIX + one for one in (*TEXTS, *IMAGES))
    raise UserError(
      f'--dataset: got {dataset!r}, expected one of {known}, or one of TFDS'
    )
  inputs = selector()
  if not inputs.startswith('trax.data.'):
    raise UserError(
      f'--dataset has no effect on {inputs}; bind its data, or leave it out'
    )
  batches = sizes()
  reference = f'@{dataset}()'
  if name in TEXTS:
    stride = _STRIDES.get(bound('trax.data.data_streams.dataset_name'))
    if stride and batches.length:
      stride = min(stride, batches.length)
    bindings = {
      'text_inputs.text': reference,
      'text_inputs.length': batches.length,
      'text_inputs.batch_size': batches.batch_size,
      'text_inputs.eval_batch_size': batches.eval_batch_size,
      'text_inputs.stride': stride,
      'evaluate.text': reference,
      'evaluate.length': batches.length,
    }
  else:
    split = IMAGES[name]
    bindings = {
      'image_inputs.images': reference,
      'image_inputs.batch_size': batches.batch_size,
      'image_inputs.eval_batch_size': batches.eval_batch_size,
      'image_inputs.eval_split': f'{split!r}',
      'evaluate_images.images': reference,
      'evaluate_images.split': f'{split!r}',
    }
  kind = 'text_inputs' if name in TEXTS else 'image_inputs'
  _parse([f'train.inputs = @{PREFIX}{kind}', 'import trax_hourglass'])
  _parse(
    f'{PREFIX}{parameter} = {found}'
    for parameter, found in bindings.items()
    if found is not None and bound(PREFIX + parameter) is None
  )


def _parse(bindings: Sequence[str]):
  with gin.unlock_config():
    gin.parse_config('\n'.join(bindings))


def _of_batcher():
  name, n_devices = 'trax.data.batcher', jax.device_count()
  batch_size = value(f'{name}.batch_size') or n_devices * value(
    f'{name}.batch_size_per_device', 32
  )
  eval_batch_size = value(f'{name}.eval_batch_size', 32)
  length = value(f'{name}.max_eval_length')
  if buckets := value(f'{name}.buckets'):
    boundaries, batch_sizes = buckets
    length = boundaries[-1]
    batch_size = eval_batch_size = batch_sizes[len(boundaries) - 1]
  return Sizes(
    # Rounded as Trax rounds them.
    max(batch_size // n_devices, 1) * n_devices,
    max(eval_batch_size // n_devices, 1) * n_devices,
    length,
  )


def _of_streams():
  name = 'trax.data.Batch.batch_size'
  batch_size = value(name, 32)
  padded = value('trax.data.PadToLength.len_map') or {}
  length = max(padded.values(), default=None) or value(
    'trax.data.generate_sequential_chunks.max_length'
  )
  return Sizes(batch_size, value(f'validation/{name}', batch_size), length)


def _of_ours(inputs):
  names = 'batch_size', 'eval_batch_size', 'length'
  batch_size, eval_batch_size, length = (
    values.argument('train.inputs', name) for name in names
  )
  if length is not None:
    check_positive(**{f'{inputs}.length': length})
  if eval_batch_size is None:
    eval_batch_size = batch_size
  return Sizes(batch_size, eval_batch_size, length)
