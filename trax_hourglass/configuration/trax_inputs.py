"""Batch sizes in a gin file of Trax's, and data of ours in such batches.

`--dataset=trax_hourglass.enwik8` replaces the file's data set with one of ours,
in batches of the same size and length. This helps if the original data can no
longer be had, or to try somebody else's file.
"""

import dataclasses
import inspect

import gin
import jax

from trax_hourglass.configuration import gin_internals, values
from trax_hourglass.configuration.selectors import PREFIX
from trax_hourglass.data.images import Images
from trax_hourglass.data.text import Text
from trax_hourglass.errors import UserError, check_positive

# The splits for evaluation of those that have no 'validation'.
_EVAL_SPLITS = {'trax_hourglass.cifar10': "'test'"}
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
  found = values.bound('train.inputs')
  if found is None:
    return 'trax.data.batcher'
  return values.selector('train.inputs') or str(found)


def sizes() -> Sizes:
  """Returns the sizes of the batches that `train.inputs` is bound to.

  Raises:
    UserError: If the length of our own inputs is not positive.
  """
  inputs = selector()
  if inputs in _SIZES:
    return _SIZES[inputs]()
  names = 'batch_size', 'eval_batch_size', 'length'
  batch_size, eval_batch_size, length = (
    values.argument('train.inputs', name) for name in names
  )
  if length is not None:
    check_positive(**{f'{inputs}.length': length})
  if eval_batch_size is None:
    eval_batch_size = batch_size
  return Sizes(batch_size, eval_batch_size, length)


def replace(dataset: str) -> None:
  """Binds `train.inputs` and the evaluation to a data set of ours.

  Bindings that our functions already have stay.

  Args:
    dataset: The value of --dataset, such as `'trax_hourglass.enwik8'`.

  Raises:
    UserError: If we have none of that name, or `train.inputs` is not Trax's.
  """
  texts, images = _functions_to(Text), _functions_to(Images)
  if dataset not in (*texts, *images):
    known = ', '.join((*texts, *images))
    raise UserError(
      f'--dataset: got {dataset!r}, expected one of {known}, or one of TFDS'
    )
  found = values.reference('train.inputs')
  if values.bound('train.inputs') is not None and not (
    found and values.package(found.configurable) == 'trax'
  ):
    raise UserError(
      f'--dataset has no effect on {selector()}; bind its data, or leave it out'
    )
  batches = sizes()
  reference, split = f'@{dataset}()', _EVAL_SPLITS.get(dataset)
  if dataset in texts:
    kind = 'text_inputs'
    stride = _STRIDES.get(values.bound('trax.data.data_streams.dataset_name'))
    if stride and batches.length:
      stride = min(stride, batches.length)
    bindings = {
      'text_inputs.text': reference,
      'text_inputs.length': batches.length,
      'text_inputs.stride': stride,
      'evaluate.text': reference,
      'evaluate.length': batches.length,
    }
  else:
    kind = 'image_inputs'
    bindings = {
      'image_inputs.images': reference,
      'image_inputs.eval_split': split,
      'evaluate_images.images': reference,
      'evaluate_images.split': split,
    }
  bindings[f'{kind}.batch_size'] = batches.batch_size
  bindings[f'{kind}.eval_batch_size'] = batches.eval_batch_size
  lines = [f'train.inputs = @{PREFIX}{kind}', 'import trax_hourglass']
  lines += [
    f'{PREFIX}{parameter} = {found}'
    for parameter, found in bindings.items()
    if found is not None and values.bound(PREFIX + parameter) is None
  ]
  with gin.unlock_config():
    gin.parse_config(lines)


def _functions_to(kind: type) -> list[str]:
  """Returns the selectors of our functions that return a kind of data."""
  return sorted(
    selector
    for selector, configurable in gin_internals.registry().items()
    if configurable.module == 'trax_hourglass'
    and inspect.signature(configurable.wrapped).return_annotation is kind
  )


def _batcher_sizes():
  name, n_devices = 'trax.data.batcher', jax.device_count()
  batch_size = values.value(f'{name}.batch_size') or n_devices * values.value(
    f'{name}.batch_size_per_device', 32
  )
  eval_batch_size = values.value(f'{name}.eval_batch_size', 32)
  length = values.value(f'{name}.max_eval_length')
  if buckets := values.value(f'{name}.buckets'):
    boundaries, batch_sizes = buckets
    length = boundaries[-1]
    batch_size = eval_batch_size = batch_sizes[len(boundaries) - 1]
  return Sizes(
    # Rounded as Trax rounds them.
    max(batch_size // n_devices, 1) * n_devices,
    max(eval_batch_size // n_devices, 1) * n_devices,
    length,
  )


def _stream_sizes():
  name = 'trax.data.Batch.batch_size'
  batch_size = values.value(name, 32)
  padded = values.value('trax.data.PadToLength.len_map') or {}
  length = max(padded.values(), default=None) or values.value(
    'trax.data.generate_sequential_chunks.max_length'
  )
  return Sizes(
    batch_size, values.value(f'validation/{name}', batch_size), length
  )


# Sizes by Trax's functions for `train.inputs`.
_SIZES = {
  'trax.data.batcher': _batcher_sizes,
  'trax.data.make_inputs': _stream_sizes,
}
