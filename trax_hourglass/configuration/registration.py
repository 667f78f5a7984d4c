"""Registers functions that gin files name as `trax_hourglass.NAME`.

Trax registers some of these names too: see `selectors` for short ones. gin does
not configure calls from Python.
"""

import gin

from trax_hourglass import evaluation, models
from trax_hourglass.configuration import optax_names, selectors
from trax_hourglass.configuration.gin_files import GIN_DIRECTORY
from trax_hourglass.data import (
  chunks,
  documents,
  enwik8,
  imagenet,
  images,
  offline,
  packing,
  prepared,
  text,
)
from trax_hourglass.layers import metrics
from trax_hourglass.models import arguments
from trax_hourglass.training import optimizers, options, schedules

MODULE = 'trax_hourglass'

for _configurable in (
  *arguments.OURS,
  metrics.BitsPerByte,
  metrics.BitsPerDim,
  models.Hourglass,
  models.HourglassLM,
  chunks.random_chunks,
  documents.jsonl_documents,
  documents.text_files,
  enwik8.enwik8,
  imagenet.imagenet32,
  imagenet.imagenet64,
  images.image_folder,
  images.image_inputs,
  images.photo_patches,
  images.photos32,
  offline.enwik8_or_sample,
  offline.imagenet_or_photos,
  prepared.cifar10,
  optimizers.Optax,
  optimizers.muon_matrices,
  optimizers.weights_named,
  packing.document_inputs,
  prepared.downsampled_imagenet,
  schedules.warmup_cosine,
  schedules.warmup_rsqrt,
  schedules.warmup_rsqrt_cosine_tail,
  text.text_file,
  text.text_inputs,
  text.wikipedia_sample,
):
  gin.register(module=MODULE)(_configurable)

gin.register('evaluate', module=MODULE)(evaluation.evaluator)
gin.register('evaluate_images', module=MODULE)(evaluation.image_evaluator)
gin.register('Loop', module=MODULE)(options.options)

optax_names.register()

# The library does not import the lab; a gin file that names these does.
ON_DEMAND = {
  'trax_hourglass.level_operations': 'trax_hourglass.lab.registration',
  'trax_hourglass.reproduce': 'trax_hourglass.lab.registration',
}
selectors.install(ON_DEMAND)

gin.add_config_file_search_path(str(GIN_DIRECTORY))
