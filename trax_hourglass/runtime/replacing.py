"""Restores functions that JAX or Python has dropped or changed for Trax."""

import collections
import functools
import importlib
import sys
import types
import warnings

import jax
import numpy as np

_SMALL = 2**16  # Elements of an array whose copy costs less than a kernel.


def wrap_backend(**wrappers):
  """Wraps functions in Trax's table of JAX's, unless they are wrapped already.

  Args:
    **wrappers: For each name, a function from the old one to the new one.
  """
  backend = importlib.import_module('trax.fastmath.jax').JAX_BACKEND
  for name, wrap in wrappers.items():
    if not hasattr(backend[name], 'is_repaired'):
      backend[name] = wrap(backend[name])
      backend[name].is_repaired = True


def wrap_attribute(owner, name, wrap):
  """Wraps a function of a class or module, unless it is wrapped already.

  Args:
    owner: The class or module.
    name: The function's name there.
    wrap: Function from the old one to the new one.
  """
  function = getattr(owner, name)
  if not hasattr(function, '__wrapped__'):
    setattr(owner, name, functools.wraps(function)(wrap(function)))


def provide_xla_extension():
  """Lets `trax.trainer` be imported.

  Cause: `trax.trainer` imports `jax.lib.xla_extension`, which JAX has removed,
  and uses it for clusters only. The module in its place raises AttributeError
  when used, so that code which looks for a name there takes its fallback.
  """
  name = 'jax.lib.xla_extension'
  try:
    importlib.import_module(name)
    return
  except ImportError:
    pass

  def missing(attribute):
    raise AttributeError(
      f'{name}.{attribute} is not in this JAX: for several hosts call '
      "jax.distributed.initialize() instead of trax.trainer's --gpu_cluster_* "
      'flags'
    )

  module = types.ModuleType(name, 'Stands in for a module that JAX removed.')
  module.__getattr__ = missing
  sys.modules[name] = module
  importlib.import_module('jax.lib').xla_extension = module


def repair_tree_unflatten():
  """Lets `training.Loop` resume.

  Cause: `fastmath.tree_unflatten` tests `tree in copy_from_tree` for arrays,
  and comparing an array with a tuple raises (google/trax#1770, #1790).
  """
  # By name: the attribute trax.fastmath.numpy is not this module.
  home = importlib.import_module('trax.fastmath.numpy')
  namespace = importlib.import_module('trax.fastmath')
  original = home.tree_unflatten

  @functools.wraps(original)
  def tree_unflatten(flat, tree, copy_from_tree=None):
    return original(flat, tree, _Elements(copy_from_tree or ()))

  for module in (home, namespace):
    if not _unflattens_arrays(module.tree_unflatten):
      module.tree_unflatten = tree_unflatten


class _Elements(tuple):
  """Elements among which an array is found only if it is one of them."""

  def __contains__(self, node):
    return any(
      node is element
      or (
        not (hasattr(node, 'shape') or hasattr(element, 'shape'))
        and node == element
      )
      for element in self
    )


def _unflattens_arrays(tree_unflatten) -> bool:
  # Not an array of JAX, which would start its backend at import.
  try:
    tree_unflatten(['leaf'], np.zeros(2), copy_from_tree=[None, ()])
  except (TypeError, ValueError):
    return False
  return True


def rename_host_count():
  """Makes `jax.host_count` an alias of `jax.process_count`, its new name.

  Cause: Trax's Loop calls it; JAX warns of the old name and is about to drop
  it.
  """
  jax.host_count = jax.process_count


def keep_on_own_cpu():
  """Makes `tl.on_cpu` put arrays into the memory of this host.

  Cause: it takes the first of `jax.devices('cpu')`, which belongs to the first
  host.
  """
  acceleration = importlib.import_module('trax.layers.acceleration')
  namespace = importlib.import_module('trax.layers')

  def wrap(on_cpu):
    def on_own_cpu(x):
      if jax.process_count() == 1:
        return on_cpu(x)
      return jax.device_put(x, jax.local_devices(backend='cpu')[0])

    return on_own_cpu

  wrap_attribute(acceleration, 'on_cpu', wrap)
  namespace.on_cpu = acceleration.on_cpu


def name_operands_of_cond():
  """Lets `fastmath.cond` take an operand for each branch, by name.

  Cause: Trax's `SelfAttention` calls it that way in mode `'predict'`; JAX has
  dropped the form.
  """

  def wrap(cond):
    def cond_by_name(*args, **kwargs):
      if 'true_operand' not in kwargs:
        return cond(*args, **kwargs)
      return cond(
        kwargs['pred'],
        lambda: kwargs['true_fun'](kwargs['true_operand']),
        lambda: kwargs['false_fun'](kwargs['false_operand']),
      )

    return cond_by_name

  wrap_backend(cond=wrap)


def leave_integers_static():
  """Lets `fastmath.stop_gradient` return a Python integer as it is.

  Cause: Trax's `SelfAttention` passes a length through it in mode `'predict'`
  and then needs its value; JAX now returns a traced array.
  """

  def wrap(stop_gradient):
    def stop_gradient_of_arrays(x):
      return x if isinstance(x, int) else stop_gradient(x)

    return stop_gradient_of_arrays

  wrap_backend(stop_gradient=wrap)


def add_small_norms_together():
  """Makes the norms of gradients and weights few kernels instead of many.

  Cause: Trax adds the squares of each array by itself, which XLA compiles into
  up to five kernels on a CPU: a third of those of a training step. Here small
  arrays are joined first. An optimizer that clips gradients keeps Trax's norm,
  on whose last bit its updates depend.
  """
  optimizer = importlib.import_module('trax.optimizers.base').Optimizer

  def wrap(l2_norm):
    def joined_l2_norm(self, arrays):
      if self._clip_grad_norm is not None:
        return l2_norm(self, arrays)
      small, joined = collections.defaultdict(list), []
      for x in arrays:
        if x.size <= _SMALL:
          small[x.dtype].append(x.ravel())
        else:
          joined.append(x)
      joined += map(jax.numpy.concatenate, small.values())
      return l2_norm(self, joined)

    return joined_l2_norm

  wrap_attribute(optimizer, '_l2_norm', wrap)


def trace_equal_updates_once():
  """Makes optimizers trace the update of an array once for all of its shape.

  Cause: Trax traces the update of each array by itself, which takes a tenth of
  the time to the first step.
  """
  optimizer = importlib.import_module('trax.optimizers.base').Optimizer

  def wrap(tree_update):
    def tree_update_by_shapes(self, step, *args, **kwargs):
      if not isinstance(step, jax.core.Tracer):
        return tree_update(self, step, *args, **kwargs)
      vars(self)['_update_and_check'] = jax.jit(self._update_and_check)
      try:
        return tree_update(self, step, *args, **kwargs)
      finally:
        del vars(self)['_update_and_check']

    return tree_update_by_shapes

  wrap_attribute(optimizer, 'tree_update', wrap)


def take_empty_arrays():
  """Lets `tl.Serial` take an array of NumPy without elements.

  Cause: it counts the rows of NumPy's arrays as inputs, and finds none.
  """
  serial = importlib.import_module('trax.layers.combinators').Serial

  def wrap(validate):
    def validate_arrays(self, xs):
      is_array = isinstance(xs, np.ndarray) and self.n_in == 1
      validate(self, (xs,) if is_array else xs)

    return validate_arrays

  wrap_attribute(serial, '_validate_forward_inputs', wrap)


def skip_whole_examples():
  """Lets `trax.data.data_streams` skip examples of the training stream.

  Cause: it draws their number with the bound 1e5, a float, which
  `random.randint` rejects from Python 3.12 on.
  """
  tf_inputs = importlib.import_module('trax.data.tf_inputs')
  tf_inputs._MAX_SKIP_EXAMPLES = int(tf_inputs._MAX_SKIP_EXAMPLES)


def ignore_gzip_warning():
  """Ignores Python's warning at every first checkpoint.

  Cause: Trax opens `GzipFile(fileobj=...)` without a mode. A user's own filters
  come first.
  """
  warnings.filterwarnings(
    'ignore',
    'GzipFile was opened for writing',
    FutureWarning,
    append=True,
  )
