"""Functions that JAX or Python has dropped or changed, as Trax calls them."""

import functools
import importlib
import sys
import types
import warnings

import jax
import numpy as np


def wrap_backend(**wrappers):
  """Wraps functions that Trax takes from JAX, each once.

  Args:
    **wrappers: By the name in Trax's table, a function from the old one to the
      new one.
  """
  backend = importlib.import_module('trax.fastmath.jax').JAX_BACKEND
  for name, wrap in wrappers.items():
    if not hasattr(backend[name], 'is_repaired'):
      backend[name] = wrap(backend[name])
      backend[name].is_repaired = True


def provide_xla_extension():
  """Lets `trax.trainer` be imported.

  Cause: `trax.trainer` imports `jax.lib.xla_extension`, which JAX has removed;
  it uses it for clusters only. The empty module in its place says at the first
  use what to do instead. It raises AttributeError, so that code which looks for
  a name there falls back as it does without the module.
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

  Cause: `fastmath.tree_unflatten` asks `tree in copy_from_tree` of arrays, too,
  and comparing an array with a tuple raises (google/trax#1770, #1790).
  """
  # By name: the attribute trax.fastmath.numpy is another thing.
  home = importlib.import_module('trax.fastmath.numpy')
  namespace = importlib.import_module('trax.fastmath')
  for module in (home, namespace):
    if not _unflattens_arrays(module.tree_unflatten):
      module.tree_unflatten = _tree_unflatten


def _unflattens_arrays(tree_unflatten) -> bool:
  # A NumPy array: one of JAX would start its backend at import.
  try:
    tree_unflatten(['leaf'], np.zeros(2), copy_from_tree=[None, ()])
  except (TypeError, ValueError):
    return False
  return True


def _tree_unflatten(flat, tree, copy_from_tree=None):
  """Builds a tree like `tree` from a flat list; Trax's contract.

  Args:
    flat: Sequence of leaves, in the order of `tree_flatten`.
    tree: Nested lists, tuples and dictionaries.
    copy_from_tree: Elements that are kept where `tree` has them. An array is
      kept if it is the same object as one of them, all else if it is equal.

  Returns:
    A pair of the new tree and the leaves that it did not need.
  """
  n_used = 0

  def is_kept(node, element):
    if hasattr(node, 'shape') or hasattr(element, 'shape'):
      return node is element
    return node == element

  def build(node):
    nonlocal n_used
    if any(is_kept(node, element) for element in copy_from_tree or ()):
      return node
    if isinstance(node, tuple):
      return tuple([build(child) for child in node])
    if isinstance(node, list):
      return [build(child) for child in node]
    if isinstance(node, dict):
      return {key: build(child) for key, child in node.items()}
    n_used += 1
    return flat[n_used - 1]

  new_tree = build(tree)
  return new_tree, flat[n_used:]


def rename_host_count():
  """Gives `jax.host_count` its new name's function.

  Cause: Trax's Loop calls it; JAX renamed it `process_count`, warns of a call
  by the old name and is about to drop it. Both give the same number.
  """
  jax.host_count = jax.process_count


def keep_on_own_cpu():
  """Lets `tl.on_cpu` put arrays into the memory of this host.

  Cause: it takes the first of `jax.devices('cpu')`, which is that of the first
  host, wherever it is called. On a single host it does what it did.
  """
  acceleration = importlib.import_module('trax.layers.acceleration')
  namespace = importlib.import_module('trax.layers')
  on_cpu = acceleration.on_cpu
  if hasattr(on_cpu, '__wrapped__'):
    return

  @functools.wraps(on_cpu)
  def on_own_cpu(x):
    if jax.process_count() == 1:
      return on_cpu(x)
    return jax.device_put(x, jax.local_devices(backend='cpu')[0])

  acceleration.on_cpu = namespace.on_cpu = on_own_cpu


def name_operands_of_cond():
  """Lets `fastmath.cond` take an operand for each branch, by name.

  Cause: so Trax's `SelfAttention` calls it in mode `'predict'`; JAX has dropped
  that form.
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

  Cause: Trax's `SelfAttention` passes a length through it in mode `'predict'`,
  and then needs its value; JAX has come to return a traced array.
  """

  def wrap(stop_gradient):
    def stop_gradient_of_arrays(x):
      return x if isinstance(x, int) else stop_gradient(x)

    return stop_gradient_of_arrays

  wrap_backend(stop_gradient=wrap)


def skip_whole_examples():
  """Lets `trax.data.data_streams` skip examples of the training stream.

  Cause: it draws their number up to a float, 1e5, which `random.randint` no
  longer takes from Python 3.12 on.
  """
  tf_inputs = importlib.import_module('trax.data.tf_inputs')
  tf_inputs._MAX_SKIP_EXAMPLES = int(tf_inputs._MAX_SKIP_EXAMPLES)


def ignore_gzip_warning():
  """Ignores Python's warning at every first checkpoint.

  Cause: Trax opens `GzipFile(fileobj=...)` without its mode, which Python reads
  off the file object with a FutureWarning. A user's own filters come first.
  """
  warnings.filterwarnings(
    'ignore',
    'GzipFile was opened for writing',
    FutureWarning,
    append=True,
  )
