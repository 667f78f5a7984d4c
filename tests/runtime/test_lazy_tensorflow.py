"""TensorFlow, loaded when something of it is used."""

import importlib
import subprocess
import sys

import pytest

from trax_hourglass.runtime import lazy_tensorflow


def run(code):
  """Runs code in a fresh process; returns what it printed."""
  result = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=False
  )
  assert result.returncode == 0, result.stderr
  return result.stdout


def run_quietly(code):
  """Returns output and errors of code in a fresh process."""
  result = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=True
  )
  return result.stdout, result.stderr


def test_import_and_a_model_need_no_slow_modules():
  run("""
import sys
import numpy as np
import trax_hourglass
from trax import shapes

tokens = np.ones((1, 5), np.int32)
model = trax_hourglass.HourglassLM(
  7, d_model=4, d_ff=4, n_heads=1, hierarchy='1@1', mode='eval'
)
model.init(shapes.signature(tokens))
assert model(tokens).shape == (1, 5, 7)
slow = 'tensorflow', 'matplotlib.pyplot', 'scipy', 'trax.data.tokenizer'
loaded = [name for name in sys.modules if name.startswith(slow)]
assert not loaded, loaded

import trax

assert trax.data.tokenizer.encode('a bc') == ['a', 'bc']
assert trax.jaxboard.plt.Figure
assert trax.data.tf_inputs.scipy.special.comb(4, 2) == 6
log_sum = sys.modules['trax.fastmath.numpy'].logsumexp(np.zeros(4))
assert np.isclose(log_sum, np.log(4))
""")


def test_every_use_gets_the_true_tensorflow():
  run("""
import trax_hourglass
import trax
from trax import fastmath, jaxboard, shapes
from trax.data import tf_inputs

seen = []
trax_hourglass.runtime.when_tensorflow_loads(seen.append)
assert not seen
with fastmath.use_backend('tensorflow-numpy'):
  ones = fastmath.numpy.ones(3)
import tensorflow as tf
import tensorflow_datasets as tfds

assert seen == [tf]
assert isinstance(ones, tf.Tensor)
assert isinstance(trax.AsKeras, type)
assert issubclass(trax.AsKeras, tf.keras.layers.Layer)
assert fastmath.tf.tf_abstract_eval
assert tf_inputs.tfds.builder is tfds.builder
signature = shapes.ShapeDtype(tf.TensorShape([2, 3]), tf.float32)
assert signature.shape == (2, 3)
assert signature.dtype.__name__ == 'float32'
assert jaxboard.event_pb2.Event is tf.compat.v1.Event
try:
  trax.no_such_name
except AttributeError:
  pass
else:
  raise AssertionError
""")


def test_files_and_seeds_of_trax_need_no_tensorflow():
  run("""
import os
import sys
import tempfile
import trax_hourglass
from trax.layers import base
from trax.supervised import training

folder = os.path.join(tempfile.mkdtemp(), 'a', 'b')
gfile = base.tf.io.gfile
for _ in range(2):
  gfile.makedirs(folder)
old, new = (os.path.join(folder, name) for name in 'xy')
for text in ('first', 'second'):
  with gfile.GFile(old, 'w') as file:
    file.write(text)
  gfile.rename(old, new, overwrite=True)
assert gfile.exists(new) and not gfile.exists(old)
assert open(new).read() == 'second'
try:
  gfile.rename(new, new)
except FileExistsError:
  pass
else:
  raise AssertionError
for seed in (5, 7):
  training._init_random_number_generators(seed)
assert 'tensorflow' not in sys.modules

assert gfile.listdir(folder) == ['y']
import tensorflow as tf

drawn = tf.random.uniform([])
tf.random.set_seed(7)
assert drawn == tf.random.uniform([])
assert not gfile.exists('ram://no/such')
""")


def test_any_import_of_tensorflow_is_quiet():
  result = run_quietly("""
import trax_hourglass
import tensorflow as tf

assert type(tf.__loader__).__name__ == 'SourceFileLoader'
assert tf.__spec__.loader is tf.__loader__
import trax.trainer
""")
  assert result == ('', '')


def test_leaves_a_loaded_tensorflow_alone():
  run("""
import tensorflow as tf
import trax_hourglass
from trax.layers import base

assert base.tf is tf
""")


def test_tensorflow_leaves_the_gpu_to_jax(monkeypatch, capfd):
  tf = importlib.import_module('tensorflow')
  capfd.readouterr()  # Its own notices.
  calls = []
  monkeypatch.setattr(
    tf.config, 'set_visible_devices', lambda *arguments: calls.append(arguments)
  )
  lazy_tensorflow.leave_gpu_to_jax()
  assert calls == [([], 'GPU')]
  assert capfd.readouterr().err == ''


def test_a_stand_in_names_what_is_not_deferred(monkeypatch):
  module = lazy_tensorflow._LazyModule('tensorflow')
  monkeypatch.setitem(sys.modules, 'tensorflow', module)
  with pytest.raises(AttributeError, match='tensorflow.constant: not deferred'):
    getattr(module, 'constant')  # noqa: B009
