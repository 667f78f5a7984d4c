"""Checkpoints from elsewhere are data: nothing in them is run."""

import collections
import functools
import gzip
import io
import operator
import os
import pickle
import subprocess

import jax
from jax import numpy as jnp
import numpy as np
import pytest
from trax import shapes

import trax_hourglass
from trax_hourglass.errors import UserError
from trax_hourglass.training.checkpoints import pickles


def _load(content, protocol=pickle.HIGHEST_PROTOCOL):
  return pickles.load(io.BytesIO(pickle.dumps(content, protocol)))


def _assert_same(x, y):
  jax.tree.map(np.testing.assert_array_equal, x, y)
  assert jax.tree.structure(x) == jax.tree.structure(y)


_ARRAYS = {
  'c': np.arange(6, dtype=np.float32).reshape(2, 3),
  'fortran': np.asfortranarray(np.arange(6).reshape(2, 3)),
  'strided': np.arange(12, dtype=np.uint8).reshape(3, 4)[:, ::2],
  'empty': np.zeros((0, 3), np.int32),
  'scalar array': np.array(3.5),
  'scalar': np.float64(2.5),
  'big-endian': np.arange(3, dtype='>i4'),
  'bool': np.array([True, False]),
  'bfloat16': np.arange(3).astype(jnp.bfloat16),
  'jax': jnp.arange(4.0),
  'jax bfloat16': jnp.ones((2, 1), jnp.bfloat16),
  'key': jax.random.PRNGKey(7),
}


@pytest.mark.parametrize('protocol', [3, 4, 5])
@pytest.mark.parametrize('name', _ARRAYS)
def test_reads_arrays(name, protocol):
  array = np.asarray(_ARRAYS[name])
  read = np.asarray(_load(_ARRAYS[name], protocol))
  assert read.dtype == array.dtype
  np.testing.assert_array_equal(read, array)


def test_reads_what_trax_puts_in_a_checkpoint():
  history = collections.defaultdict(list)
  history['loss'].append((1, np.float32(2)))
  content = {
    'step': 3,
    'flat_state': [np.zeros(2), (), None, jnp.ones(1)],
    'history': {'_values': {'train': history}},
    'input_signature': (shapes.ShapeDtype((2, 5), np.int32),),
    'version_timestamp': 'Mar-10-2021',
  }
  read = _load(content)
  (signature,) = read.pop('input_signature')
  (expected,) = content.pop('input_signature')
  assert type(signature) is shapes.ShapeDtype
  assert (signature.shape, signature.dtype) == (expected.shape, expected.dtype)
  _assert_same(read, content)
  read['history']['_values']['train']['new'].append(1)  # Is a defaultdict.


def test_reads_names_of_numpy_1():
  content = pickle.dumps(np.arange(3), 4)
  old, new = b'numpy.core.multiarray', b'numpy._core.multiarray'
  assert (old in content) != (new in content)
  for x, y in ((old, new), (new, old)):
    # Strings are written after their length, in frames after theirs.
    renamed = content.replace(
      b'\x8c' + bytes([len(x)]) + x, b'\x8c' + bytes([len(y)]) + y
    )
    n = int.from_bytes(renamed[3:11], 'little') + len(renamed) - len(content)
    renamed = renamed[:3] + n.to_bytes(8, 'little') + renamed[11:]
    array = pickles.load(io.BytesIO(renamed))
    np.testing.assert_array_equal(array, np.arange(3))


class _Call:
  """Pickles as a function call."""

  def __init__(self, function, *arguments, state=None):
    self._reduced = function, arguments, state

  def __reduce__(self):
    return self._reduced


def _touch(path):
  return f'open({str(path)!r}, "w").close()'


_GADGETS = {
  'os.system': lambda path: _Call(os.system, f'touch {path}'),
  'eval': lambda path: _Call(eval, _touch(path)),
  'exec': lambda path: _Call(exec, _touch(path)),
  'partial': lambda path: _Call(functools.partial, os.system, f'touch {path}'),
  'Popen': lambda path: _Call(subprocess.Popen, ('touch', str(path))),
  'getattr': lambda path: _Call(getattr, 'x', 'upper'),
  'import': lambda path: _Call(__import__, 'os'),
  'methodcaller': lambda path: _Call(operator.methodcaller, 'system', 'true'),
  'gzip': lambda path: _Call(gzip.open, str(path), 'w'),
  'open': lambda path: _Call(open, str(path), 'w'),
  'load': lambda path: _Call(
    np.load, str(path), None, True
  ),  # allow_pickle=True
  'memmap': lambda path: _Call(np.memmap, str(path), 'u1', 'w+', 0, (1,)),
  'a function of ours': lambda path: _Call(pickles.load, io.BytesIO()),
  'object array': lambda path: np.array([_Call(eval, _touch(path))], object),
  'array of objects': lambda path: np.array([None, 1], object),
  'dtype of objects': lambda path: np.dtype('O'),
  'dtype of fields': lambda path: np.dtype([('x', 'f4')]),
  'nested': lambda path: {'a': [({'b': _Call(eval, _touch(path))},)]},
  'key': lambda path: {_Call(eval, _touch(path)): 1},
  'defaultdict': lambda path: collections.defaultdict(_Call, {}),
  'list of a call': lambda path: _Call(list, _Call(eval, _touch(path))),
}


@pytest.mark.parametrize('protocol', [3, 5])
@pytest.mark.parametrize('name', _GADGETS)
def test_refuses_gadgets_and_runs_nothing(tmp_path, name, protocol):
  path = tmp_path / 'model.pkl.gz'
  ran = tmp_path / 'ran'
  content = {
    'flat_weights': [np.zeros(2)],
    'step': 1,
    'flat_state': _GADGETS[name](ran),
  }
  path.write_bytes(gzip.compress(pickle.dumps(content, protocol)))
  with pytest.raises(UserError, match='which is no part of a checkpoint'):
    trax_hourglass.load_checkpoint(str(path))
  assert not ran.exists()


def _global(name):
  module, name = name.rsplit('.', 1)
  return b'c' + module.encode() + b'\n' + name.encode() + b'\n'


@pytest.mark.parametrize(
  'content',
  [
    # Attributes of what is known, which a later load would meet.
    _global('numpy.dtype') + b'N}U\x01xK\x01s\x86b.',
    _global('trax.shapes.ShapeDtype') + b'N}U\x01xK\x01s\x86b.',
    _global('numpy.core.numeric._frombuffer') + b'N}U\x01xK\x01s\x86b.',
    _global('builtins.list') + b'N}U\x01xK\x01s\x86b.',
    _global('numpy.float32') + b'N}U\x01xK\x01s\x86b.',
    # An array that is longer than its bytes.
    _global('numpy.core.numeric._frombuffer')
    + b'(U\x04abcd'
    + _global('numpy.dtype')
    + b'U\x02f8\x85RK\x64\x85U\x01CtR.',
    # The stand-ins themselves, or a cycle.
    _global('numpy.ndarray') + b'.',
    b']q\x00h\x00a.',
    # Extensions, and what is stored elsewhere.
    b'\x82\x01.',
    b'Px\n.',
    b'(I1\n' * 10 + b'.',
  ],
)
def test_refuses_opcodes_that_reach_further(content, tmp_path):
  path = tmp_path / 'model.pkl.gz'
  path.write_bytes(gzip.compress(b'\x80\x02' + content))
  with pytest.raises(UserError):
    trax_hourglass.load_checkpoint(str(path))
  assert not hasattr(pickles._Dtype, 'x')
  assert not hasattr(pickles._Signature, 'x')
  test_reads_what_trax_puts_in_a_checkpoint()
