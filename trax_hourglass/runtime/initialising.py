"""Initialises models in time linear in their number of layers."""

import importlib
import sys

import jax
import numpy as np

from trax_hourglass.runtime import threefry
from trax_hourglass.runtime.replacing import wrap_attribute, wrap_backend


def infer_shapes_once():
  """Makes the time to initialise a model linear in its depth of nesting.

  Cause: `Serial` initialises a sublayer and then traces it for the shape of
  its output, so that JAX, slower at tracing than it was, traces a layer once
  for each `Serial` around it. Here only layers that are not combinators are
  traced, once for each shape of inputs, weights and state; `Serial` and
  `Parallel` combine the results.
  """
  base = importlib.import_module('trax.layers.base')

  def wrap(trace):
    def forward_abstract(layer, input_signature):
      forward = type(layer).forward
      compose = _COMPOSE.get(f'{forward.__module__}.{forward.__qualname__}')
      if compose:
        return compose(layer, input_signature)
      weights_and_state = base.nested_map(
        base.signature, (layer.weights, layer.state)
      )
      key = repr((input_signature, weights_and_state))
      known = layer.__dict__.setdefault('_known_outputs', {})
      if key not in known:
        known[key] = trace(layer, input_signature)
      return known[key]

    return forward_abstract

  wrap_attribute(base.Layer, '_forward_abstract', wrap)


def infer_shapes_together(layer, other):
  """Lets two layers that are built alike be traced once for their shapes."""
  known = vars(layer).setdefault('_known_outputs', {})
  vars(other)['_known_outputs'] = known
  for pair in zip(layer.sublayers, other.sublayers, strict=True):
    infer_shapes_together(*pair)


def forget_failed_inits():
  """Lets a layer be initialised again after an attempt that failed.

  Cause: `init` marks each sublayer as one that has weights, and clears the
  marks at its end. After an error or Ctrl-C they stay, and the next `init`
  takes marked sublayers for shared ones: their weights are then missing in
  those of the layer, and are not trained.
  """
  base = importlib.import_module('trax.layers.base')

  def wrap(init):
    def init_or_clear(layer, input_signature, rng=None, use_cache=False):
      try:
        return init(layer, input_signature, rng, use_cache)
      except BaseException:
        if not use_cache:
          layer._clear_init_cache()
        raise

    return init_or_clear

  wrap_attribute(base.Layer, 'init', wrap)


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


# By the function that runs the sublayers: subclasses may inherit it.
_COMPOSE = {
  'trax.layers.combinators.Serial.forward': _compose_serial,
  'trax.layers.combinators.Parallel.forward': _compose_parallel,
}


def cheap_keys():
  """Makes and splits random keys in NumPy, outside of traces.

  Cause: Trax makes a key whenever it initialises or traces a layer and splits
  it in every combinator, each time with a compiled program: half of the time
  that initialising takes. The keys equal JAX's. As NumPy arrays they stay valid
  in a layer whose trace has ended.
  """

  def wrap_get_prng(make):
    def get_prng(seed):
      is_plain = type(seed) is int and 0 <= seed < 2**32
      if is_plain and jax.config.jax_default_prng_impl == 'threefry2x32':
        return np.array([0, seed], np.uint32)
      return make(seed)

    return get_prng

  def wrap_split(split):
    def split_key(key, num=2):
      is_plain = threefry.is_key(key) and not isinstance(key, jax.core.Tracer)
      is_plain = is_plain and type(num) is int
      if is_plain and jax.config.jax_threefry_partitionable:
        return threefry.split(key, num)
      return split(key, num)

    return split_key

  wrap_backend(random_get_prng=wrap_get_prng, random_split=wrap_split)
