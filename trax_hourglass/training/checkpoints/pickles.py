"""Reading of pickles in checkpoints as data, without running their code.

A pickle names classes and functions. Each is looked up in a table of those in
Trax's checkpoints: arrays, their types, and the shape of the model's input. All
but NumPy's types of numbers are stand-ins made here that only hold numbers,
since NumPy's own classes take a state from a pickle by which it could read any
memory.
"""

import collections
import math
import pickle
import re
import sys

import jax.numpy as jnp
import numpy as np
from trax import shapes

_NUMBERS = re.compile('[biufc][1-9][0-9]?')
_SWAPPED = '>' if sys.byteorder == 'little' else '<'


class ForbiddenError(pickle.UnpicklingError):
  """A pickle names a class or function that no checkpoint needs."""


def load(file):
  """Returns what is pickled in a binary file: containers, numbers, arrays.

  Raises:
    ForbiddenError: If it names any other class or function.
    Exception: Of any kind, if it is damaged.
  """
  return _plain(_Unpickler(file).load())


class _Unpickler(pickle.Unpickler):
  def find_class(self, module, name):
    # The name of `numpy.core` in NumPy 2.
    known = module.replace('numpy._core', 'numpy.core'), name
    if known not in _KNOWN:
      raise ForbiddenError(f'{module}.{name}')
    return _KNOWN[known]


class _Unchanging(type):
  """Metaclass of classes whose attributes a pickle cannot set."""

  def __setattr__(cls, name, value):
    raise ForbiddenError(f'attribute {name!r} of {cls.__name__[1:]}')


class _Bfloat16(metaclass=_Unchanging):
  """Stands for the type `bfloat16`."""


class _Dtype(metaclass=_Unchanging):
  """Becomes a `np.dtype` of numbers, so never one that holds pointers."""

  __slots__ = ('dtype',)

  def __init__(self, name, align=False, copy=True):
    if name is _Bfloat16:
      self.dtype = np.dtype(jnp.bfloat16)
    elif isinstance(name, str) and _NUMBERS.fullmatch(name):
      self.dtype = np.dtype(name)
    else:
      raise ForbiddenError(f'arrays of {name!r}')

  def __setstate__(self, state):
    if state[1] == _SWAPPED:
      self.dtype = self.dtype.newbyteorder(_SWAPPED)


class _Array(metaclass=_Unchanging):
  """Becomes a `np.ndarray`; NumPy's `_reconstruct` makes it empty."""

  __slots__ = ('array',)

  def __init__(self, kind=None, shape=(0,), typecode=b'b'):
    self.array = np.zeros(0)

  def __setstate__(self, state):
    _, shape, dtype, is_fortran, content = state
    self.array = _array(content, dtype, shape, 'F' if is_fortran else 'C')


class _FromBuffer(metaclass=_Unchanging):
  def __new__(cls, content, dtype, shape, order):
    return _array(content, dtype, shape, order)


class _Scalar(metaclass=_Unchanging):
  def __new__(cls, dtype, content):
    return _array(content, dtype, (), 'C')[()]


class _JaxArray(metaclass=_Unchanging):
  """Takes a pickled NumPy array, and whether JAX's type is weak."""

  def __new__(cls, function, arguments, state, aval_state):
    if function is not _Array:
      raise ForbiddenError(f'an array of JAX made by {function!r}')
    array = _Array()
    array.__setstate__(state)
    return array


class _DefaultDict(metaclass=_Unchanging):
  def __new__(cls, factory):
    if factory is not list:
      raise ForbiddenError(f'a dictionary of {factory!r}')
    return collections.defaultdict(list)


class _Signature(metaclass=_Unchanging):
  """Becomes a `ShapeDtype`."""

  __slots__ = ('dtype', 'shape')


_KNOWN = {
  ('builtins', 'list'): list,
  ('collections', 'defaultdict'): _DefaultDict,
  ('jax._src.array', '_reconstruct_array'): _JaxArray,
  ('jax._src.device_array', 'reconstruct_device_array'): _JaxArray,
  ('ml_dtypes', 'bfloat16'): _Bfloat16,
  ('numpy', 'dtype'): _Dtype,
  ('numpy', 'ndarray'): _Array,
  ('numpy.core.multiarray', '_reconstruct'): _Array,
  ('numpy.core.multiarray', 'scalar'): _Scalar,
  ('numpy.core.numeric', '_frombuffer'): _FromBuffer,
  ('trax.shapes', 'ShapeDtype'): _Signature,
  **{
    ('numpy', name): getattr(np, name)
    for name in ('int32', 'int64', 'uint8', 'uint32', 'float32', 'float64')
  },
}


def _array(content, dtype, shape, order):
  if not isinstance(dtype, _Dtype) or not isinstance(
    content, bytes | bytearray
  ):
    raise ForbiddenError(f'an array of {dtype!r} in a {type(content).__name__}')
  expected = math.prod(shape) * dtype.dtype.itemsize
  if len(content) != expected:
    raise pickle.UnpicklingError(
      f'array: got {len(content)} bytes, expected {expected}'
    )
  return np.ndarray(shape, dtype.dtype, content, order=order)


def _plain(x):
  """Returns `x` with the values of stand-ins in their place."""
  if isinstance(x, dict):
    for key, value in x.items():
      x[key] = _plain(value)
    return x
  if type(x) in (list, tuple):
    return type(x)(_plain(y) for y in x)
  if isinstance(x, _Array):
    return x.array
  if isinstance(x, _Dtype):
    return x.dtype
  if isinstance(x, _Signature):
    return shapes.ShapeDtype(tuple(x.shape), _plain(x.dtype))
  plain = int | float | complex | str | bytes | np.generic | np.ndarray | None
  is_number_type = isinstance(x, type) and issubclass(x, np.generic)
  if isinstance(x, plain) or is_number_type:
    return x
  raise ForbiddenError(f'a {type(x).__name__}')
