"""Optax's transformations as optimizers of Trax.

To a transformation the weights are a dictionary by name, see `models.names`.
Trax's slots are the arrays of its state.
"""

from collections.abc import Callable, Mapping, Sequence
import fnmatch

import jax
from jax import numpy as jnp
import optax
from optax import contrib
from trax import fastmath
from trax.layers import base
from trax.optimizers import base as optimizers_base

from trax_hourglass.errors import UserError
from trax_hourglass.models import named_weights


class Optax(optimizers_base.Optimizer):
  """Trains by a `GradientTransformation` of Optax, at the rate of Trax.

  The updates that a transformation of learning rate 1 makes are multiplied by
  the rate that Trax's schedule gives for the step, weight decay included.

  Args:
    transformation: Such as `optax.adamw(1.0)`, or several, each of which takes
      the updates of the one before.
    rates: Factors of the rate for weights by name; of the patterns that match a
      name, such as `'level_1.*'`, the first counts.
    learning_rate: The rate where Trax gives none.

  Raises:
    UserError: If that is no transformation, or a factor is no number.
  """

  def __init__(
    self,
    transformation: optax.GradientTransformation
    | Sequence[optax.GradientTransformation]
    | None = None,
    rates: Mapping[str, float] | None = None,
    learning_rate: float = 1.0,
  ):
    super().__init__(learning_rate)
    several = isinstance(transformation, list | tuple) and not isinstance(
      transformation, optax.GradientTransformation
    )
    self._transformation = (
      optax.chain(*map(_checked, transformation))
      if several
      else _checked(transformation)
    )
    self._rates = dict(rates or {})
    for pattern, factor in self._rates.items():
      if not isinstance(factor, int | float):
        raise UserError(
          f'rates: got {factor!r} for {pattern!r}, expected a number'
        )
    self._model = None
    self._names = self._factors = self._structure = self._key_types = None

  def name_weights(self, model: base.Layer) -> None:
    """Names the weights as those of a model, initialised by `tree_init`."""
    self._model = model

  def tree_init(self, weight_tree):
    weights = fastmath.tree_flatten(weight_tree)
    named = named_weights(self._model) if self._model is not None else {}
    # A loss may have weights, too, behind those of the model.
    more = [f'weights_{i}' for i in range(len(weights) - len(named))]
    self._names = [*named, *more]
    self._factors = self._matched_rates()
    params = self._named(weights)
    state = self._transformation.init(params)
    self._check(params, state)
    self._structure = jax.tree.structure(state)
    # Copies, for slots are updated in place: some start as the weights.
    slots = [jnp.array(x) for x in jax.tree.leaves(state)]
    self._key_types = [
      jax.random.key_impl(x)
      if jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
      else None
      for x in slots
    ]
    self.slots = tuple(self._numbers(slots))
    return self.slots, self.opt_params

  def tree_update(
    self, step, grad_tree, weight_tree, slots, opt_params, store_slots=True
  ):
    del step  # The state counts its own.
    gradients = fastmath.tree_flatten(grad_tree)
    weights = fastmath.tree_flatten(weight_tree)
    updates, state = self._transformation.update(
      self._named(gradients),
      jax.tree.unflatten(
        self._structure,
        [
          jax.random.wrap_key_data(x, impl=kind) if kind else x
          for x, kind in zip(slots, self._key_types, strict=True)
        ],
      ),
      self._named(weights),
    )
    rate = opt_params['learning_rate']
    new_weights = [
      (x + rate * factor * updates[name]).astype(x.dtype)
      for x, name, factor in zip(
        weights, self._names, self._factors, strict=True
      )
    ]
    slots = tuple(self._numbers(jax.tree.leaves(state)))
    if store_slots:
      self.slots = slots
    metrics = {
      'gradients_l2': optax.tree.norm(gradients),
      'weights_l2': optax.tree.norm(weights),
    }
    return fastmath.tree_unflatten(new_weights, weight_tree)[0], slots, metrics

  def _numbers(self, leaves):
    """Returns arrays of a state, random keys as the numbers that are saved."""
    return [
      jax.random.key_data(x) if kind else x
      for x, kind in zip(leaves, self._key_types, strict=True)
    ]

  def _named(self, arrays):
    return dict(zip(self._names, arrays, strict=True))

  def _matched_rates(self):
    for pattern in self._rates:
      _check_matches('rates', pattern, self._names)
    return [
      next(
        (
          factor
          for pattern, factor in self._rates.items()
          if fnmatch.fnmatchcase(name, pattern)
        ),
        1.0,
      )
      for name in self._names
    ]

  def _check(self, params, state):
    """Raises `UserError` if training has less than a transformation needs."""

    def is_schedule_free(x):
      return isinstance(x, contrib.ScheduleFreeState)

    parts = jax.tree.leaves(state, is_leaf=is_schedule_free)
    if any(map(is_schedule_free, parts)):
      raise UserError(
        'transformation: got a schedule-free one, which trains other weights '
        'than it evaluates; use one that trains those of the model, such as '
        'optax.adamw'
      )
    try:
      jax.eval_shape(self._transformation.update, params, state, params)
    except (AttributeError, TypeError) as error:
      raise UserError(
        f'transformation: got one that needs more than gradients and weights '
        f'({" ".join(str(error).split())}); use another one'
      ) from error


def weights_named(patterns: str | Sequence[str]) -> Callable[[Mapping], dict]:
  """Returns a mask for Optax: a function to whether each weight is meant.

  In gin: `optax.adamw.mask = @trax_hourglass.weights_named()` with
  `trax_hourglass.weights_named.patterns = ['*.kernel']`.

  Args:
    patterns: One or several that names match, such as `'*.kernel'`.
  """
  patterns = [patterns] if isinstance(patterns, str) else patterns

  def mask(params):
    for pattern in patterns:
      _check_matches('weights_named', pattern, params)
    return {
      name: any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
      for name in params
    }

  return mask


def muon_matrices(
  patterns: str | Sequence[str] = ('level_*.kernel',),
) -> Callable[[Mapping], dict]:
  """Returns the argument that limits `optax.contrib.muon` to some matrices.

  AdamW trains all other weights: by default embedding, logits and vectors. In
  gin: `optax.contrib.muon.muon_weight_dimension_numbers =
  @trax_hourglass.muon_matrices()`.

  Args:
    patterns: One or several that names match, as for `weights_named`. Of the
      weights meant, those that are no matrices stay with AdamW.
  """
  named = weights_named(patterns)

  def dimension_numbers(params):
    is_meant = named(params)
    # In an update, a weight that Muon does not train is a mask of no shape.
    return {
      name: contrib.MuonDimensionNumbers()
      if is_meant[name] and getattr(x, 'ndim', 0) == 2
      else None
      for name, x in params.items()
    }

  return dimension_numbers


def _checked(transformation):
  if not isinstance(transformation, optax.GradientTransformation):
    raise UserError(
      f'transformation: got {transformation!r}, expected one or several of '
      'Optax, as @optax.adamw(), with ()'
    )
  return transformation


def _check_matches(what, pattern, names):
  if not fnmatch.filter(names, pattern):
    raise UserError(
      f'{what}: got the pattern {pattern!r}, which no weight matches, '
      f'expected one for names such as {", ".join(list(names)[:3])}'
    )
