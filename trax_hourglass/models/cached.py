"""The layers of an Hourglass that mode `'predict'` replaces.

A valley stands between the vanilla layers of Algorithm 1 in arXiv:2110.13711:
ShiftRight(k - 1), Shortening, the shorter level and Upsampling. In this mode it
runs once per k vectors, when a group is complete.
"""

import math

import jax
from jax import numpy as jnp
from trax import layers as tl
from trax import shapes
from trax.layers import base

from trax_hourglass.errors import UserError
from trax_hourglass.kernels.cached import starts
from trax_hourglass.layers.basic import layers_of
from trax_hourglass.layers.checks import check_rows
from trax_hourglass.layers.resampling import AttentionUpsampling


class CachedValley(base.Layer):
  """Shortens, runs the inner level and upsamples, for any number of vectors.

  Maps x, `(batch, length, d)`, to y of the same shape; (x, x) to (y, x) if the
  upsampling takes x too. In training a shift by k - 1 precedes the shortening,
  so group j ends with vector j * k. It is complete when that vector arrives,
  and is upsampled to the outputs from there up to the end of the next group.

  Args:
    shorten_factor: k.
    shorten: Layer that maps whole groups x to x'.
    inner: Layer or layers of x', in mode `'predict'`.
    upsample: Layer from x' to k vectors for each, or an `AttentionUpsampling`.
    norm: Layer after the upsampling.
    total_pooling: Total shorten factor of x.

  Raises:
    UserError: If `upsample` takes (x', x) but is not an `AttentionUpsampling`.
  """

  def __init__(
    self, shorten_factor, shorten, inner, upsample, norm, total_pooling
  ):
    super().__init__(upsample.n_in, upsample.n_out, name='Valley')
    self._k = shorten_factor
    self._total_pooling = total_pooling
    self._window = Window(shorten_factor)
    # With the window in place of the shift, weights are those of training.
    in_training = tl.Serial(self._window, shorten, inner, upsample, norm)
    self._sublayers = in_training.sublayers
    self._weights = self._state = (None,) * len(self._sublayers)
    # The same layers, grouped by when they run.
    if isinstance(upsample, AttentionUpsampling):
      self._per_group = tl.Serial(shorten, inner, upsample.per_group)
      self._per_vector = tl.Serial(upsample.per_vector, norm)
    elif upsample.n_in == 1:
      self._per_group = tl.Serial(shorten, inner, upsample)
      self._per_vector = norm
    else:
      raise UserError(
        f"upsampling in mode 'predict': got {upsample.name} of "
        f"{upsample.n_in} inputs, expected one of x' alone, or "
        'AttentionResampling'
      )

  @property
  def tokens_per_group(self):
    return self._k * self._total_pooling

  def init_weights_and_state(self, input_signature):
    x = input_signature[0] if self.n_in > 1 else input_signature
    group = shapes.ShapeDtype((x.shape[0], self._k, x.shape[2]), x.dtype)
    in_training = tl.Serial(self._sublayers)
    self.weights, self.state = in_training.init(
      group if self.n_in == 1 else (group,) * self.n_in, use_cache=True
    )

  def _forward_abstract(self, input_signature):
    # Saves the initialisation of a model a trace of `forward`.
    return input_signature, base.nested_map(base.signature, self.state)

  def forward(self, inputs):
    x = inputs[0] if self.n_in > 1 else inputs
    k, length = self._k, x.shape[1]
    window, last, position = self._window.state
    check_rows(x, window)
    seen = jnp.concatenate([window, self._shifted_in(x, position)], axis=1)
    # The start, in `seen`, of the first group that this call completes.
    start = -position % k
    rows = [last]
    n_whole = length // k
    if n_whole:
      groups = _rows(seen, start, n_whole * k)
      rows.append(self._complete(groups))
      last = rows[-1][:, -k:]
    if length % k:
      is_more = start + n_whole * k < length
      group = _rows(seen, start + n_whole * k, k)
      last = self._complete_if(is_more, group, last)
      rows.append(last)
    # The last group before this call was upsampled to the k rows up to `start`.
    rows = _rows(jnp.concatenate(rows, axis=1), k - start, length)
    self._window.state = seen[:, length:], last, position + length
    if self.n_in == 1:
      return self._run(self._per_vector, rows)
    nothing = jnp.zeros_like(x[:, :0])
    return self._run(self._per_vector, (rows, nothing, x))

  def _shifted_in(self, x, position):
    """Returns x with zeros before the start of each row, as the shift has."""
    first = starts.first_vectors(self._total_pooling, x.shape[:1])
    if first is None:
      return x
    is_before = position + jnp.arange(x.shape[1]) < first[:, None]
    return jnp.where(is_before[..., None], 0, x)

  def _complete(self, groups):
    """Returns the upsampled rows of n groups, `(batch, n * k, d)`."""
    outputs = self._run(self._per_group, groups)
    if self.n_in == 1:
      return outputs.astype(groups.dtype)
    rows, memory = outputs
    # Without queries, this adds the memory to the cache of attention.
    self._run(self._per_vector, (rows[:, :0], memory, groups[:, :0]))
    return rows.astype(groups.dtype)

  def _complete_if(self, condition, group, last):
    """Returns the rows of a group if a condition holds, else the last rows."""

    def complete(_, carry):
      _, state = carry
      self._set_states(state)
      return self._complete(group), self._states()

    # XLA would copy all state for a condition; a loop's carry is updated in
    # place.
    n_times = condition.astype(jnp.int32)
    last, state = jax.lax.fori_loop(
      0, n_times, complete, (last, self._states())
    )
    self._set_states(state)
    return last

  def _states(self):
    return self._per_group.state, self._per_vector.state

  def _set_states(self, states):
    self._per_group.state, self._per_vector.state = states

  def _run(self, layer, inputs):
    """Runs a layer, whose state it updates."""
    structure = jax.tree.structure(layer.state)
    outputs, state = layer.pure_fn(
      inputs, layer.weights, layer.state, self.rng, use_cache=True
    )
    # Some layers of Trax rename their state when they first run.
    layer.state = jax.tree.unflatten(structure, jax.tree.leaves(state))
    return outputs


class Window(base.Layer):
  """Maps an array to itself, and holds the state of a valley.

  The state is the last k - 1 vectors, `(batch, k - 1, d)`, the upsampled rows
  of the last group, `(batch, k, d)`, and the number of vectors so far.
  """

  knows_starts = True

  def __init__(self, shorten_factor):
    super().__init__(name=f'Window({shorten_factor - 1})')
    self._k = shorten_factor

  def init_weights_and_state(self, input_signature):
    batch, _, d = input_signature.shape
    # A tree without leaves, like that of the shift in training.
    self.weights, _ = tl.ShiftRight().init(input_signature)
    self.state = (
      jnp.zeros((batch, self._k - 1, d), input_signature.dtype),
      jnp.zeros((batch, self._k, d), input_signature.dtype),
      jnp.zeros((), jnp.int32),
    )

  def forward(self, x):
    return x


def _rows(x, start, n):
  return jax.lax.dynamic_slice_in_dim(x, start, n, axis=1)


class Limit(base.Layer):
  """Maps (y, x) to y, `(batch, length, d)`, for up to `n` vectors in all calls.

  All outputs of a call that exceeds `n` are NaN: an attention type whose cache
  is full would silently attend to wrong keys, even for the first vectors of the
  call, which still have room.
  """

  knows_starts = True

  def __init__(self, n):
    super().__init__(n_in=2, n_out=1)
    self._n = n

  @property
  def n(self):
    return self._n

  def init_weights_and_state(self, input_signature):
    self.state = jnp.zeros((), jnp.int32)

  def check(self, x):
    """Returns the x of a call; raises before any layer changes its state."""
    if x.shape[1] > self._n:
      raise UserError(
        f"mode 'predict': got {x.shape[1]} vectors in one call, expected at "
        f'most {self._n}; raise max_inference_length'
      )
    return x

  def forward(self, inputs):
    y, _ = inputs
    # Not in place, in which a state of NumPy would change that of the caller.
    self.state = self.state + y.shape[1]
    return jnp.where(self.state <= self._n, y, jnp.nan).astype(y.dtype)


def check_ready(model, mode: str) -> None:
  """Raises `UserError` unless each Hourglass in a model can run in a mode.

  That is, unless it was made for the mode, and is initialised.

  Args:
    model: Trax layer.
    mode: `'predict'`; or `'eval'`, which stands for `'train'` too.
  """
  for layer in layers_of(model, tl.Serial):
    if layer.name == 'Hourglass':
      predicts = isinstance(layer.sublayers[-1], Limit)
      if predicts != (mode == 'predict'):
        raise UserError(
          f"model: got one {'' if predicts else 'not '}in mode 'predict', "
          f'expected mode {mode!r}'
        )
      if not jax.tree.leaves(layer.weights):
        raise UserError(
          'model: got one without weights, expected an initialised one; call '
          'its init first'
        )


def start_multiple(model) -> int | None:
  """Returns the number of tokens whose multiples rows may start at.

  `None` if a layer keeps state of earlier calls, but does not have the
  attribute `knows_starts`, as ours have: see `kernels.cached.starts`.
  """
  for layer in layers_of(model, base.Layer):
    keeps_state = not layer.sublayers and jax.tree.leaves(layer.state)
    is_dropout = isinstance(layer, tl.Dropout)  # Its state is its rate.
    if keeps_state and not (
      is_dropout or getattr(layer, 'knows_starts', False)
    ):
      return None
  valleys = layers_of(model, CachedValley)
  return math.lcm(*(valley.tokens_per_group for valley in valleys))
