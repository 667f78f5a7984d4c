"""A `config.gin` that an earlier version wrote configures this one."""

import math
from pathlib import Path

import gin
import jax
import numpy as np
from trax import shapes

from trax_hourglass.configuration import bindings, reading, values

CONFIG = Path(__file__).with_name('config_of_0_1_0.gin')


def test_a_config_of_version_0_1_0(tmp_path):
  text = tmp_path / 'text'
  text.write_bytes(bytes(400))
  reading.configure(
    config_file=str(CONFIG),
    config=[f"trax_hourglass.text_file.path = '{text}'"],
  )
  assert gin.query_parameter('trax_hourglass.text_file.path') == str(text)
  bindings.check_train()
  model = bindings.model('train')
  weights, _ = model.weights_and_state_signature(
    shapes.ShapeDtype((2, 16), np.int32)
  )
  assert sum(math.prod(x.shape) for x in jax.tree.leaves(weights)) == 7288
  assert bindings.schedule()(5) == 0.01
  assert bindings.measure().metric == 'bits_per_byte'
  assert bindings.evaluator().batch_shape == (8, 16)
  assert gin.get_configurable('trax_hourglass.Loop')()['keep_last'] == 3
  inputs = values.value('train.inputs')()
  tokens, _, _ = next(inputs.train_stream(1))
  assert tokens.shape == (2, 16)
