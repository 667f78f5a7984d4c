"""TensorFlow and other slow modules, loaded when something of them is used.

Trax imports TensorFlow and TensorFlow Datasets at the top of nearly every
module, and its TensorFlow backend with them, which takes seven of the eight
seconds of `import trax`; pyplot and a tokenizer that looks at every character
of Unicode take half of what is left, and SciPy a tenth. Training, evaluation
and generation on JAX need little of them, or nothing.
"""

import contextlib
import functools
import importlib
from importlib import machinery
import operator
import os
import sys
import types

import wrapt

from trax_hourglass.runtime import importing

_PACKAGES = ('tensorflow', 'tensorflow_datasets', 'tensorflow_text')
# Modules of Trax that run TensorFlow's code when they are imported.
_OF_TRAX = ('trax.fastmath.tf', 'trax.tf_numpy', 'trax.trax2keras')
# Other modules that are slow to import.
_SLOW = ('matplotlib.pyplot', 'scipy', 'trax.data.tokenizer')
_PARENTS = ('trax', 'trax.fastmath', 'trax.data', 'matplotlib', 'scipy')
# What Trax takes out of these modules with `from ... import ...`.
_NAMES = (
  'AsKeras',
  'EventFileWriter',
  'TF_BACKEND',
  'event_pb2',
  'logsumexp',
)


@contextlib.contextmanager
def deferred():
  """Lets Trax be imported in the body without TensorFlow.

  Cause: see above. The modules of Trax keep stand-ins that load the true module
  at the first use of an attribute. When the body ends, `sys.modules` holds none
  of them, so that any other import gets the true module. A process that has
  loaded TensorFlow, or a Trax with its TensorFlow backend, is left alone.
  """
  if any(name in sys.modules for name in (*_PACKAGES, *_OF_TRAX)):
    yield
    return
  finder = _Finder()
  sys.meta_path.insert(0, finder)
  try:
    yield
  finally:
    sys.meta_path.remove(finder)
    _forget_stand_ins()


def _forget_stand_ins():
  """Removes stand-ins from `sys.modules` and from the packages they are in."""
  for name, module in list(sys.modules.items()):
    if isinstance(module, _LazyModule):
      del sys.modules[name]
      package, _, child = name.rpartition('.')
      if package in _PARENTS and package in sys.modules:
        _load_on_use(package, child, functools.partial(_load, name))
  if isinstance(vars(sys.modules['trax']).get('AsKeras'), _LazyObject):
    # A class, which users compare with and subclass.
    _load_on_use('trax', 'AsKeras', lambda: _load('trax.trax2keras').AsKeras)


def _load_on_use(package, attribute, load):
  """Replaces an attribute of a package by what `load` returns at its use."""
  namespace = vars(sys.modules[package])
  namespace.pop(attribute, None)
  others = namespace.get('__getattr__', _no_attribute)
  namespace['__getattr__'] = lambda name: (
    load() if name == attribute else others(name)
  )


def _no_attribute(name):
  raise AttributeError(f'no attribute {name!r}')


def quiet():
  """Keeps TensorFlow's notices off standard error, whoever imports it.

  Cause: see `importing.no_tensorflow_notices`.
  """
  is_there = any(isinstance(finder, _QuietFinder) for finder in sys.meta_path)
  if not is_there and 'tensorflow' not in sys.modules:
    sys.meta_path.insert(0, _QuietFinder())


class _QuietFinder:
  """Finds TensorFlow, once, with a loader that keeps its notices back."""

  def find_spec(self, name, path=None, target=None):
    if name != 'tensorflow':
      return None
    sys.meta_path.remove(self)
    spec = machinery.PathFinder.find_spec(name, path, target)
    if spec is not None:
      spec.loader = _QuietLoader(spec.loader)
    return spec


class _QuietLoader:
  """Loads a module by another loader, whose place it gives back."""

  def __init__(self, loader):
    self._loader = loader

  def create_module(self, spec):
    return self._loader.create_module(spec)

  def exec_module(self, module):
    module.__spec__.loader = module.__loader__ = self._loader
    with importing.no_tensorflow_notices():
      self._loader.exec_module(module)


def when_tensorflow_loads(action):
  """Calls `action(tensorflow)` once it is loaded: now, if it already is."""
  wrapt.register_post_import_hook(action, 'tensorflow')


def import_trainer():
  """Returns `trax.trainer`; its import does not load TensorFlow, either."""
  with deferred():
    return importlib.import_module('trax.trainer')


def leave_gpu_to_jax():
  """Hides every GPU from TensorFlow, which would reserve nearly all memory.

  Not part of `apply`: a command decides this for its process, an import does
  not. Where TensorFlow is loaded already, call it before its first operation;
  later it has no effect on a GPU that TensorFlow uses, and raises RuntimeError.
  """

  def hide(tensorflow):
    with importing.no_tensorflow_notices():
      tensorflow.config.set_visible_devices([], 'GPU')

  when_tensorflow_loads(hide)


def _is_loaded():
  module = sys.modules.get('tensorflow')
  return module is not None and not isinstance(module, _LazyModule)


def _load(name):
  """Returns the true module of a name."""
  with importing.no_tensorflow_notices(), importing.cheap_stack():
    return importlib.import_module(name)


class _Finder:
  """Finds a stand-in for every module that is deferred."""

  def find_spec(self, name, path=None, target=None):
    del path, target
    is_deferred = name.partition('.')[0] in _PACKAGES or any(
      f'{name}.'.startswith(f'{prefix}.') for prefix in (*_OF_TRAX, *_SLOW)
    )
    if is_deferred:
      return machinery.ModuleSpec(name, self, is_package=True)
    return None

  def create_module(self, spec):
    return _LazyModule(spec.name)

  def exec_module(self, module):
    pass


class _LazyModule(types.ModuleType):
  """Stands in for a module, and loads it when an attribute is asked for."""

  def __getattr__(self, name):
    if name.startswith('__'):  # The import system asks for these.
      raise AttributeError(name)
    if not _is_loaded() and name in _WITHOUT_TENSORFLOW:
      return _WITHOUT_TENSORFLOW[name]
    if sys.modules.get(self.__name__) is not self:
      return getattr(_load(self.__name__), name)
    # Trax is being imported.
    if name in _NAMES:
      return _LazyObject(self.__name__, name)
    raise AttributeError(f'{self.__name__}.{name}: not deferred')


class _LazyObject:
  """Stands in for an object of a module that is loaded at its first use."""

  def __init__(self, module, name):
    self._address = module, name

  @property
  def _object(self):
    module, name = self._address
    return getattr(_load(module), name)

  def __getattr__(self, name):
    return getattr(self._object, name)

  def __getitem__(self, key):
    return self._object[key]

  def __call__(self, *args, **kwargs):
    return self._object(*args, **kwargs)


class _Part:
  """Stands in for a namespace of TensorFlow, of which some functions are given.

  Any other is TensorFlow's, which is then loaded.
  """

  def __init__(self, address, **given):
    self._address = address
    vars(self).update(given)

  def __getattr__(self, name):
    return operator.attrgetter(f'{self._address}.{name}')(_load('tensorflow'))


def _on_disk(name, function):
  """Returns a function of local paths, and of TensorFlow's own of any other."""

  def call(path, *args, **kwargs):
    if '://' in os.fspath(path):
      return getattr(_load('tensorflow').io.gfile, name)(path, *args, **kwargs)
    return function(path, *args, **kwargs)

  return call


def _rename(source, target, overwrite=False):
  if os.path.exists(target) and not overwrite:
    raise FileExistsError(target)
  os.replace(source, target)


def _seed_when_loaded(seed):
  when_tensorflow_loads(lambda tensorflow: tensorflow.random.set_seed(seed))


_FILES = {
  'exists': os.path.exists,
  'makedirs': functools.partial(os.makedirs, exist_ok=True),
  'rename': _rename,
  'GFile': open,
}
# The names of TensorFlow that Trax uses while TensorFlow is not loaded: classes
# for comparisons of types (nothing is an instance of them), files, and a seed.
_WITHOUT_TENSORFLOW = {
  **{name: type(name, (), {}) for name in ('DType', 'Tensor', 'TensorShape')},
  'io': _Part(
    'io',
    gfile=_Part(
      'io.gfile',
      **{name: _on_disk(name, function) for name, function in _FILES.items()},
    ),
  ),
  'random': _Part('random', set_seed=_seed_when_loaded),
}
