"""What gin files can name, as `trax_hourglass.NAME`.

Trax registers some of these names too, so write the full selector. Functions
are registered, not wrapped: called from Python they are what they were.
"""

import gin

from trax_hourglass import evaluation, layers, models
from trax_hourglass.data import enwik8, text
from trax_hourglass.layers import metrics

MODULE = 'trax_hourglass'

for _configurable in (
  layers.AttentionResampling,
  layers.AveragePooling,
  layers.LinearPooling,
  layers.LinearUpsampling,
  layers.NaiveUpsampling,
  layers.NoUpsampling,
  layers.RelativeAttention,
  metrics.BitsPerByte,
  models.Hourglass,
  models.HourglassLM,
  enwik8.enwik8,
  text.text_file,
  text.text_inputs,
  text.wikipedia_sample,
):
  gin.register(module=MODULE)(_configurable)

gin.register('evaluate', module=MODULE)(evaluation.evaluator)
