"""Names of weights, which follow from a model's structure.

Level 0 is that of the tokens, level 1 the first shortened one, and so on:

  embedding.embedding
  level_0.pre.block_0.attention.query.kernel
  level_1.shortening.attention_norm.scale
  level_1.block_0.feed_forward.hidden.kernel
  level_1.upsampling.resampler.bias
  level_0.post.norm.scale
  context_bias
  logits.kernel

Names depend neither on the mode, nor on rematerialization, nor on shorten
factors. The weights of attention types and resamplers that are not known here
are numbered by the kind of their layer: `level_1.shortening.conv_0.kernel`.
"""

from collections.abc import Iterator, Mapping
import re
from typing import NamedTuple

import jax
import numpy as np
from trax import layers as tl
from trax.layers import base
from trax.layers.research import efficient_attention

from trax_hourglass.errors import UserError
from trax_hourglass.layers.attention.cached import Projections

# Projections of an attention layer, by their number. Where there are two, the
# queries are the keys, too.
_PROJECTIONS = {
  2: ('query', 'value'),
  3: ('query', 'key', 'value'),
  4: ('position', 'query', 'key', 'value'),
}
_SHARED = 'query.kernel', 'value.kernel', 'output.kernel'
_OWN = 'query.kernel', 'key.kernel', 'value.kernel', 'output.kernel'
# The arrays of a layer, by its type and their number.
_ARRAYS = {
  tl.Embedding: {1: ('embedding',)},
  tl.LayerNorm: {1: ('scale',), 2: ('scale', 'bias')},
  tl.Weights: {1: ('',)},
  (efficient_attention.SelfAttention, efficient_attention.LSHSelfAttention): {
    3: _SHARED,
    4: _OWN,
    5: (*_SHARED, 'query.bias', 'value.bias'),
    7: (*_OWN, 'query.bias', 'key.bias', 'value.bias'),
  },
  base.Layer: {1: ('kernel',), 2: ('kernel', 'bias')},
}


def named_weights(model: base.Layer) -> dict[str, jax.Array]:
  """Returns the weights of a model by name, in the order of its flat weights.

  Args:
    model: An initialised `HourglassLM` or `Hourglass`, or any layer that has
      one inside; what is outside it is numbered by the kind of layer.

  Raises:
    UserError: If the model is not initialised.
  """
  if not jax.tree.leaves(model.weights):
    raise UserError(
      f'{model.name}: got a model without weights, expected an initialised '
      'one; call its init first'
    )
  return named(model, model.weights)


def named(model: base.Layer, weights) -> dict:
  """Returns the leaves of a tree of weights by name, in the tree's order."""
  if isinstance(model, tl.Accelerate):  # Its weights are those of the model.
    model = model.sublayer
  return dict(_top(_Node(model, weights)))


def set_named_weights(
  model: base.Layer, weights: Mapping[str, np.ndarray | jax.Array]
) -> None:
  """Gives a model the weights that `named_weights` has of one like it.

  Args:
    model: As for `named_weights`, in any mode.
    weights: An array for each name.

  Raises:
    UserError: If a name is missing or unknown, or a shape is another.
  """
  flat = in_order(named_weights(model), weights)
  model.weights, _ = tl.unflatten_weights_and_state(
    flat, (), (model.weights, ()), weights_only=True
  )


def in_order(expected: Mapping, weights: Mapping) -> list:
  """Returns weights in the order of those of a model, `expected`.

  Raises:
    UserError: If a name is missing or unknown, or a shape is another.
  """
  advice = 'give the weights of a model of the same arguments'
  for name in expected.keys() ^ weights.keys():
    which = 'no' if name in expected else 'an unknown'
    raise UserError(f'weights: got {which} {name}; {advice}')
  for name, array in expected.items():
    got, shape = np.shape(weights[name]), array.shape
    if got != shape:
      raise UserError(
        f'weights: {name} has shape {got}, expected {shape}; {advice}'
      )
  return [weights[name] for name in expected]


class _Node(NamedTuple):
  """A layer and the tree of its weights, with marks for shared ones."""

  layer: base.Layer
  weights: object

  @property
  def sublayers(self) -> list['_Node']:
    if not self.layer.sublayers:
      return []
    return list(map(_Node, self.layer.sublayers, self.weights))

  @property
  def children(self) -> list['_Node']:
    """The sublayers that have weights."""
    return [node for node in self.sublayers if jax.tree.leaves(node.weights)]

  @property
  def core(self) -> '_Node':
    """The layer inside those that add no weights: the first of several."""
    children = self.children
    return children[0].core if len(children) == 1 else self


_Named = Iterator[tuple[str, jax.Array]]


def _top(node) -> _Named:
  if node.layer.name == 'HourglassLM':
    embedding, hourglass, logits = node.children
    yield from _arrays(embedding, 'embedding')
    yield from _Hourglass().stack(hourglass.children, 0)
    yield from _arrays(logits, 'logits')
  elif node.layer.name == 'Hourglass':
    yield from _Hourglass().stack(node.children, 0)
  else:
    yield from _numbered(node, '')


def _numbered(node, path) -> _Named:
  """Yields the weights of layers by their kind and number."""
  counts = {}
  for part in _parts(node):
    kind = _snake_case(type(part.layer).__name__)
    if part.layer.name == 'Hourglass':
      kind = 'hourglass'
    number = counts[kind] = counts.get(kind, -1) + 1
    inside = _joined(path, f'{kind}_{number}')
    if kind == 'hourglass':
      yield from _Hourglass(inside).stack(part.children, 0)
    else:
      yield from _arrays(part, inside)


def _parts(node) -> Iterator[_Node]:
  if node.layer.name == 'Hourglass' or not node.layer.sublayers:
    yield node
  else:
    for child in node.children:
      yield from _parts(child)


def _part(node, path) -> _Named:
  """Yields the weights of any layer: those of a single one by its path."""
  core = node.core
  if core.children:
    yield from _numbered(core, path)
  else:
    yield from _arrays(core, path)


def _arrays(node, path) -> _Named:
  """Yields the weights of a layer that has no others in it."""
  arrays = jax.tree.leaves(node.weights)
  by_number = next(
    names for kind, names in _ARRAYS.items() if isinstance(node.layer, kind)
  )
  numbered = [f'weights_{i}' for i in range(len(arrays))]
  names = by_number.get(len(arrays), numbered)
  for name, array in zip(names, arrays, strict=True):
    yield _joined(path, name), array


class _Hourglass:
  """Names the weights of an Hourglass, level by level, as `Levels` builds it.

  Args:
    path: What precedes each name.
  """

  def __init__(self, path=''):
    self._path = path
    self._has_biases = False

  def stack(self, nodes, depth) -> _Named:
    """Yields the weights of a level and of those in it."""
    level = _joined(self._path, f'level_{depth}')
    if len(nodes) == 1:
      yield from self._blocks(nodes[0], level)
      return
    before, valley, after = nodes
    yield from self._blocks(before, f'{level}.pre')
    yield from self._valley(valley.core, depth + 1)
    yield from self._blocks(after, f'{level}.post')

  def _valley(self, node, depth):
    level = _joined(self._path, f'level_{depth}')
    _, shorten, *inner, upsample, norm = node.sublayers
    yield from self._resampling(shorten, f'{level}.shortening')
    inner = [one for one in inner if jax.tree.leaves(one.weights)]
    yield from self.stack(inner, depth)
    yield from self._resampling(upsample, f'{level}.upsampling')
    yield from _arrays(norm, f'{level}.upsampling.norm')

  def _blocks(self, node, path):
    *blocks, norm = node.children
    if blocks and blocks[0].layer.name == 'Repeated':
      blocks = blocks[0].children
    for i, block in enumerate(blocks):
      attention, feed_forward = block.core.children
      name = f'{path}.block_{i}'
      norm_before, *rest = _inside_residual(attention)
      yield from _arrays(norm_before, f'{name}.attention_norm')
      for one in rest:
        yield from self._attention(one, f'{name}.attention')
      yield from _feed_forward(feed_forward, name)
    yield from _arrays(norm, f'{path}.norm')

  def _resampling(self, node, path):
    core = node.core
    if core.layer.name not in ('AttentionShortening', 'AttentionUpsampling'):
      yield from _part(node, path)
      return
    norm, _, resampler, query_norm, *_, attention, feed_forward = core.sublayers
    yield from _arrays(norm, f'{path}.attention_norm')
    yield from _part(resampler, f'{path}.resampler')
    yield from _arrays(query_norm, f'{path}.query_norm')
    yield from self._attention(attention, f'{path}.attention')
    yield from _feed_forward(feed_forward, path)

  def _attention(self, node, path):
    """Yields the weights of projections, biases and output, if it has these."""
    children = node.core.children
    projections = children[0].core if children else node.core
    names = _PROJECTIONS.get(len(projections.children))
    if names is None or not isinstance(
      projections.layer, tl.Parallel | Projections
    ):
      yield from _part(node, path)
      return
    for name, one in zip(names, projections.children, strict=True):
      yield from _part(one, f'{path}.{name}')
    biases = children[1:-1]
    # Shared by all attention of a model, unless a user's has its own.
    owner = path if self._has_biases else self._path
    self._has_biases |= bool(biases)
    if biases:  # Else they are in the weights of an earlier layer.
      for name, bias in zip(
        ('context_bias', 'location_bias'), biases, strict=True
      ):
        yield from _arrays(bias, _joined(owner, name))
    yield from _part(children[-1], f'{path}.output')


def _inside_residual(node):
  core = node.core
  return core.children or [core]


def _feed_forward(node, path) -> _Named:
  norm, hidden, *activation, output = _inside_residual(node)
  yield from _arrays(norm, f'{path}.feed_forward_norm')
  yield from _arrays(hidden, f'{path}.feed_forward.hidden')
  for one in activation:
    yield from _part(one, f'{path}.feed_forward.activation')
  yield from _arrays(output, f'{path}.feed_forward.output')


def _joined(*names):
  return '.'.join(filter(None, names))


def _snake_case(name):
  return re.sub(
    r'(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', '_', name
  ).lower()
