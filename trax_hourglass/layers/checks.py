"""Checks of arguments that several layers share."""

import functools
import numbers

import jax
import numpy as np
from trax.layers import base

from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.kernels import documents, fused

MODES = ('train', 'eval', 'predict')
DTYPES = ('float32', 'bfloat16')


def check_mode(mode):
  """Raises `UserError` if `mode` is not one that the layers run in."""
  if mode not in MODES:
    raise UserError(f'mode: got {mode!r}, expected one of {MODES}')


def check_dtype(activation_dtype):
  """Raises `UserError` if activations cannot be of this type."""
  if activation_dtype not in DTYPES:
    raise UserError(
      f'activation_dtype: got {activation_dtype!r}, expected one of {DTYPES}'
    )


def check_implementation(implementation):
  """Raises `UserError` if attention cannot be computed in that way."""
  if implementation not in fused.IMPLEMENTATIONS:
    raise UserError(
      f'implementation: got {implementation!r}, expected one of '
      f'{fused.IMPLEMENTATIONS}'
    )


def check_dropout(dropout):
  """Raises `UserError` if `dropout` is not a rate in [0, 1)."""
  if not isinstance(dropout, numbers.Real) or not 0 <= dropout < 1:
    raise UserError(
      f'dropout: got {dropout!r}, expected the share of activations to drop, '
      'at least 0 and below 1'
    )


def check_heads(d_model, n_heads):
  """Raises `UserError` if the heads can't share `d_model` evenly.

  `d_model` must also be even: half of each position vector holds sines, half
  cosines.
  """
  check_positive(d_model=d_model, n_heads=n_heads)
  if d_model % n_heads or d_model % 2:
    raise UserError(
      f'd_model {d_model}: expected an even number that n_heads {n_heads} '
      'divides'
    )


def check_rows(x, cached):
  """Raises `UserError` unless a call has as many rows as a cache.

  Rows are the first axis. JAX would broadcast a single row, and write it to the
  first row of the cache alone.
  """
  if len(x) != len(cached):
    raise UserError(
      f"mode 'predict': got {len(x)} rows, sequences or heads of them, in a "
      f'call, expected the {len(cached)} of the initialisation; call init with '
      'this batch'
    )


def check_functions(**functions):
  """Raises `UserError` unless each is a function, to make a layer with."""
  for name, function in functions.items():
    if not callable(function) or isinstance(function, base.Layer):
      raise UserError(
        f'{name}: got {function!r}, expected the function that makes the '
        'layer, by its name and without ()'
      )


def check_tokens(tokens, vocab_size, name='tokens'):
  """Raises `UserError` unless all tokens are in a model's vocabulary.

  A model does not check tokens: its embedding silently takes the nearest one in
  the vocabulary. Call this function before you pass tokens to a compiled
  function. Within one they have no values yet, and the check does nothing; use
  `jax.experimental.checkify` with `index_checks` there.

  Args:
    tokens: Array of integers of any shape.
    vocab_size: The size of the model's vocabulary.
    name: The name of the tokens in the error.
  """
  if isinstance(tokens, jax.core.Tracer):
    return
  tokens = np.asarray(tokens)
  if tokens.size and not 0 <= tokens.min() <= tokens.max() < vocab_size:
    outside = tokens[(tokens < 0) | (tokens >= vocab_size)][0]
    raise UserError(
      f'{name}: got a token {outside}, expected tokens from 0 to '
      f'{vocab_size - 1}, because the model has a vocab_size of {vocab_size}; '
      'give the model a larger one or change the data'
    )


def check_segments(tokens, segments, multiple):
  """Raises `UserError` unless segments fit tokens and start on multiples.

  As by `check_tokens`, numbers are not checked within a compiled function.

  Args:
    tokens: Array of integers, `(batch, length)`.
    segments: For each token the number of its document, or 0.
    multiple: The total shorten factor.
  """
  advice = 'give those of document_inputs with segments=True'
  got = f'{segments.dtype} {segments.shape}'
  if segments.shape != tokens.shape or not np.issubdtype(
    segments.dtype, np.integer
  ):
    raise UserError(
      f'segments: got {got}, expected whole numbers, {tokens.shape}; {advice}'
    )
  if isinstance(segments, jax.core.Tracer):
    return
  _, places = np.nonzero(documents.starts(np.asarray(segments)))
  if len(wrong := places[(places + 1) % multiple != 0]):
    raise UserError(
      f'segments: got a document that starts at token {wrong[0] + 1} of a row, '
      f'expected a multiple of the total shorten factor, {multiple}; set '
      'document_inputs.total_shorten_factor to it'
    )


def unwrapped(function):
  """Returns the function inside wrappers of gin, `functools` and Trax."""
  while True:
    if isinstance(function, functools.partial):
      function = function.func
    elif hasattr(function, '__wrapped__'):
      function = function.__wrapped__
    else:
      return function
