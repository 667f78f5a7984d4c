"""What unchanged trax 1.4.1 needs to run well on today's JAX.

`apply` runs when `trax_hourglass` is imported. Every repair is one function
that names its cause, changes nothing where the cause is absent, and may run
again. The first acts before anything is compiled, the next three while Trax is
imported, the others afterwards.
"""

import contextlib
import functools
import importlib
from importlib import metadata
import inspect
import os
import re
import sys
import tempfile
import types
import warnings

import jax
import numpy as np

from trax_hourglass import threefry


def apply():
  """Imports Trax and applies every repair."""
  no_library_fusions()
  with no_tensorflow_notices(), no_gym_notice(), cheap_stack():
    import trax.layers  # noqa: F401
  provide_xla_extension()
  repair_tree_unflatten()
  infer_shapes_once()
  cheap_keys()
  rename_host_count()
  name_operands_of_cond()
  leave_integers_static()
  skip_whole_examples()
  ignore_gzip_warning()


_LIBRARY_FUSIONS = '--xla_cpu_experimental_ynn_fusion_type'
# XLA aborts the process at a flag that it does not know.
_KNOW_LIBRARY_FUSIONS = ('0.10.2', '0.12.0')


def no_library_fusions():
  """Lets XLA compile its own fusions on a CPU, not hand them to a library.

  Cause: today's XLA gives small elementwise fusions and reductions to the
  library YNNPACK, a call each. A training step of `quickstart.gin` takes 1.4
  times as long that way on two cores; one of a large model takes the same
  either way. XLA reads its flags once, before it first compiles.
  """
  flags = os.environ.get('XLA_FLAGS', '')
  known = metadata.version('jaxlib').startswith(_KNOW_LIBRARY_FUSIONS)
  if known and _LIBRARY_FUSIONS not in flags:
    os.environ['XLA_FLAGS'] = f'{flags} {_LIBRARY_FUSIONS}='.strip()


# Lines of TensorFlow that a log level does not reach: those of severity info
# and warning, and the error that says that there is no GPU.
_TENSORFLOW_NOTICE = re.compile(
  rb'WARNING: All log messages before absl::InitializeLog'
  rb'|[IW]\d{4} '
  rb'|E\d{4} .* failed call to cuInit'
)


@contextlib.contextmanager
def no_tensorflow_notices():
  """Keeps TensorFlow's notices off standard error while the body runs.

  Cause: TensorFlow 2.21 logs before it has initialised its log, which
  `TF_CPP_MIN_LOG_LEVEL` does not reach. So standard error is held back at the
  level of the file descriptor, and everything but the notices follows when the
  body is done. A user who sets `TF_CPP_MIN_LOG_LEVEL=0` sees all of it at once,
  also what TensorFlow says when it aborts the process.
  """
  level = os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  try:
    stderr = os.dup(2) if level != '0' else None
  except OSError:  # No standard error: nothing to keep clean.
    stderr = None
  if stderr is None:
    yield
    return
  with tempfile.TemporaryFile() as held:
    os.dup2(held.fileno(), 2)
    try:
      yield
    finally:
      os.dup2(stderr, 2)
      os.close(stderr)
      held.seek(0)
      for line in held:
        if not _TENSORFLOW_NOTICE.match(line):
          os.write(2, line)


@contextlib.contextmanager
def no_gym_notice():
  """Lets gym be imported in the body without its notice.

  Cause: `trax.rl` imports gym, which prints that it is unmaintained. The text
  comes from a dictionary of the package `gym_notices`, empty meanwhile.
  """
  try:
    notices = importlib.import_module('gym_notices.notices').notices
  except ImportError:
    notices = {}
  kept = dict(notices)
  notices.clear()
  try:
    yield
  finally:
    notices.update(kept)


@contextlib.contextmanager
def cheap_stack():
  """Makes `inspect.stack` and `inspect.getframeinfo` cheap in the body.

  Cause: the decorator `assert_shape` calls both 65 times while Trax is
  imported, to note file and line of its caller. They look up module and source
  of every frame, which is 10 of the 13 seconds that the import takes.
  """

  def getframeinfo(frame, context=1):
    del context  # No source lines, as where inspect can't find the source.
    code = frame.f_code
    return inspect.Traceback(
      code.co_filename, frame.f_lineno, code.co_name, None, None
    )

  def stack(context=1):
    frames, frame = [], sys._getframe(1)
    while frame is not None:
      frames.append(inspect.FrameInfo(frame, *getframeinfo(frame, context)))
      frame = frame.f_back
    return frames

  originals = inspect.stack, inspect.getframeinfo
  inspect.stack, inspect.getframeinfo = stack, getframeinfo
  try:
    yield
  finally:
    inspect.stack, inspect.getframeinfo = originals


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


def infer_shapes_once():
  """Makes the time to initialise a model linear in its depth of nesting.

  Cause: `Serial` initialises a sublayer and then traces it for the shape of
  its output, so that JAX, slower at tracing than it was, traces a layer once
  for each `Serial` around it. Here a layer that is no combinator is traced once
  for each shape of inputs, weights and state, and `Serial` and `Parallel` put
  together what their sublayers answer.
  """
  base = importlib.import_module('trax.layers.base')
  trace = base.Layer._forward_abstract
  if hasattr(trace, '__wrapped__'):
    return

  @functools.wraps(trace)
  def forward_abstract(layer, input_signature):
    compose = _COMPOSE.get(type(layer).__name__)
    if compose and type(layer).__module__ == 'trax.layers.combinators':
      return compose(layer, input_signature)
    weights_and_state = base.nested_map(
      base.signature, (layer.weights, layer.state)
    )
    key = repr((input_signature, weights_and_state))
    known = layer.__dict__.setdefault('_known_outputs', {})
    if key not in known:
      known[key] = trace(layer, input_signature)
    return known[key]

  base.Layer._forward_abstract = forward_abstract


def _compose_serial(serial, stack):
  combinators = sys.modules['trax.layers.combinators']
  states = []
  for layer in serial.sublayers:
    inputs = combinators.inputs_from_stack(stack, layer.n_in)
    outputs, state = layer._forward_abstract(inputs)
    stack = combinators.outputs_onto_stack(outputs, stack, layer.n_in)
    states.append(state)
  return stack, tuple(states)


def _compose_parallel(parallel, inputs):
  outputs, states = [], []
  allotted = parallel._allot_to_sublayers(inputs)
  for layer, signature in zip(parallel.sublayers, allotted, strict=True):
    output, state = layer._forward_abstract(signature)
    outputs += [output] if layer.n_out == 1 else output
    states.append(state)
  return outputs[0] if parallel.n_out == 1 else tuple(outputs), tuple(states)


_COMPOSE = {'Serial': _compose_serial, 'Parallel': _compose_parallel}


def cheap_keys():
  """Makes random keys, and splits those of no trace, without a program.

  Cause: where a model is initialised, Trax makes a key for every layer and
  whenever it traces one, and splits it in every combinator: each time a
  compiled program, half of the time that initialising takes. The keys are
  those that JAX makes. They are NumPy's: one that is made within a trace stays
  in its layer when the trace is over.
  """
  backend = importlib.import_module('trax.fastmath.jax').JAX_BACKEND
  make, split = backend['random_get_prng'], backend['random_split']
  if getattr(make, '__module__', None) == __name__:
    return

  def get_prng(seed):
    is_plain = type(seed) is int and 0 <= seed < 2**32
    if is_plain and jax.config.jax_default_prng_impl == 'threefry2x32':
      return np.array([0, seed], np.uint32)
    return make(seed)

  def split_key(key, num=2):
    is_plain = threefry.is_key(key) and not isinstance(key, jax.core.Tracer)
    if is_plain and jax.config.jax_threefry_partitionable and type(num) is int:
      return threefry.split(key, num)
    return split(key, num)

  backend['random_get_prng'], backend['random_split'] = get_prng, split_key


def rename_host_count():
  """Gives `jax.host_count` its new name's function.

  Cause: Trax's Loop calls it; JAX renamed it `process_count`, warns of a call
  by the old name and is about to drop it. Both give the same number.
  """
  jax.host_count = jax.process_count


def name_operands_of_cond():
  """Lets `fastmath.cond` take an operand for each branch, by name.

  Cause: so Trax's `SelfAttention` calls it in mode `'predict'`; JAX has dropped
  that form.
  """
  backend = importlib.import_module('trax.fastmath.jax').JAX_BACKEND
  cond = backend['cond']
  if getattr(cond, '__module__', None) == __name__:
    return

  @functools.wraps(cond, assigned=())
  def cond_by_name(*args, **kwargs):
    if 'true_operand' not in kwargs:
      return cond(*args, **kwargs)
    return cond(
      kwargs['pred'],
      lambda: kwargs['true_fun'](kwargs['true_operand']),
      lambda: kwargs['false_fun'](kwargs['false_operand']),
    )

  backend['cond'] = cond_by_name


def leave_integers_static():
  """Lets `fastmath.stop_gradient` return a Python integer as it is.

  Cause: Trax's `SelfAttention` passes a length through it in mode `'predict'`,
  and then needs its value; JAX has come to return a traced array.
  """
  backend = importlib.import_module('trax.fastmath.jax').JAX_BACKEND
  stop_gradient = backend['stop_gradient']
  if getattr(stop_gradient, '__module__', None) == __name__:
    return

  def stop_gradient_of_arrays(x):
    return x if isinstance(x, int) else stop_gradient(x)

  backend['stop_gradient'] = stop_gradient_of_arrays


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


def leave_gpu_to_jax():
  """Hides every GPU from TensorFlow, which would reserve nearly all memory.

  Not part of `apply`: a command decides this for its process, an import does
  not. Call it before TensorFlow's first operation; later it has no effect on
  a GPU that TensorFlow already uses, and raises RuntimeError.
  """
  with no_tensorflow_notices():
    tf = importlib.import_module('tensorflow')
    tf.config.set_visible_devices([], 'GPU')
