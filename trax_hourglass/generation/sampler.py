"""Samples from a model in mode 'predict', in one compiled loop."""

from collections.abc import Iterator
import functools
from typing import NamedTuple

import jax
from jax import numpy as jnp
import numpy as np
from trax import layers as tl
from trax import shapes
from trax.layers import base

from trax_hourglass.data import streams
from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.generation import sampling
from trax_hourglass.layers.checks import check_tokens
from trax_hourglass.layers.metrics import nats_to_bits
from trax_hourglass.models.cached import Limit

UNKNOWN = -1  # Marks a token that is to be drawn.
START = 0  # The token that precedes every sequence, as in Trax.
# Longer prompts are worth a compiled program of their own.
ONE_PASS = 64

Prompt = np.ndarray | bytes | None


class Sample(NamedTuple):
  """Generated tokens, without the prompt.

  Attributes:
    tokens: int32, `(batch, length)`.
    log_probs: float32, `(batch, length)`: natural logarithm of each token's
      probability under the model, before temperature, top-k and top-p.
  """

  tokens: np.ndarray
  log_probs: np.ndarray

  @property
  def bits(self) -> np.ndarray:
    """Bits per token of each sequence, `(batch,)`."""
    return nats_to_bits(-self.log_probs.mean(axis=1, dtype=np.float64))

  def texts(self) -> list[bytes]:
    """Returns each sequence as bytes; tokens must be below 256."""
    return [row.astype(np.uint8).tobytes() for row in self.tokens]


class Sampler:
  """Generates tokens with a model, whose weights and state it leaves alone.

  The loop over tokens is compiled once for each number of rows, whatever the
  length of a sample and however it is streamed. A prompt of more than
  `ONE_PASS` tokens goes through the model in one pass, compiled for each
  length; a shorter one goes through the loop.

  Args:
    model: Initialised Trax layer in mode `'predict'`, such as an `HourglassLM`,
      that maps tokens, `(batch, length)`, to logits, `(batch, length,
      vocab_size)`. Its weights may change between calls.
  """

  def __init__(self, model: base.Layer):
    self._model = model
    self._rng = jax.random.PRNGKey(0)  # Nothing is drawn in this mode.
    _ = model.rng  # Made when first read: not within a trace.
    self._empty = jax.jit(self._empty_state, static_argnums=0)
    self._read = jax.jit(self._call, donate_argnums=1)
    self._generate = jax.jit(self._loop, donate_argnames='state')

  @property
  def limit(self) -> int | None:
    """Most tokens of prompt and sample together; `None` if not known."""
    limits = _layers(self._model, Limit)
    return min((limit.n for limit in limits), default=None)

  @property
  def vocab_size(self) -> int | None:
    """Tokens in the model's first embedding; `None` if it has none."""
    for embedding in _layers(self._model, tl.Embedding):
      return len(embedding.weights)
    return None

  def sample(
    self,
    prompt: Prompt = None,
    length: int = 100,
    *,
    n_samples: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
  ) -> Sample:
    """Returns continuations of a prompt.

    A row depends only on the seed, its number and its prompt.

    Args:
      prompt: Bytes, or tokens, `(prompt length,)` or `(n_prompts, prompt
        length)`. By default none.
      length: Number of tokens to generate.
      n_samples: Samples of each prompt, in consecutive rows: there are
        n_prompts * n_samples rows.
      temperature: Divisor of the logits; 0 takes the likeliest token.
      top_k: Draw from this many of the likeliest tokens; by default from all.
      top_p: Draw from the fewest of the likeliest tokens that reach this
        probability, in (0, 1]; by default from all.
      seed: Seed of the draws, at least 0 and below 2**63.

    Raises:
      UserError: If an argument is out of range, or prompt and sample exceed
        `limit`.
    """
    [whole] = self.stream(
      prompt,
      length,
      chunk=length,
      n_samples=n_samples,
      temperature=temperature,
      top_k=top_k,
      top_p=top_p,
      seed=seed,
    )
    return whole

  def stream(
    self,
    prompt: Prompt = None,
    length: int = 100,
    *,
    chunk: int = 8,
    n_samples: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
  ) -> Iterator[Sample]:
    """Yields what `sample` returns, in chunks of `chunk` tokens.

    The last one may be shorter. Arguments are checked when this is called.
    """
    check_positive(length=length, chunk=chunk, n_samples=n_samples)
    streams.check_seed(seed)
    sampling.check_draw(temperature, top_k, top_p)
    context = self._context(prompt, length, n_samples)
    options = {
      'temperature': float(temperature),
      'top_k': None if top_k is None else min(top_k, np.iinfo(np.int32).max),
      'top_p': None if top_p is None else float(top_p),
    }
    return self._chunks(context, length, chunk, sampling.key(seed), options)

  def _context(self, prompt, length, n_samples):
    """Returns the start token and prompt, `(batch, 1 + prompt length)`."""
    if isinstance(prompt, bytes):
      prompt = np.frombuffer(prompt, np.uint8)
    prompt = np.zeros((0,), np.int32) if prompt is None else np.asarray(prompt)
    if prompt.ndim not in (1, 2) or not (
      np.issubdtype(prompt.dtype, np.integer) or not prompt.size
    ):
      raise UserError(
        f'prompt: got {prompt.dtype} {prompt.shape}, expected bytes or whole '
        'numbers, (length,) or (batch, length)'
      )
    prompt = np.atleast_2d(prompt)
    if self.vocab_size is not None:
      check_tokens(prompt, self.vocab_size, 'prompt')
    self._check_room(prompt.shape[1], length)
    context = np.pad(
      prompt.astype(np.int32), ((0, 0), (1, 0)), constant_values=START
    )
    return np.repeat(context, n_samples, axis=0)

  def _check_room(self, prompt_length, length):
    limit = self.limit
    if limit is None:
      return
    if prompt_length >= limit:
      raise UserError(
        f'prompt: got {prompt_length} tokens, expected fewer than '
        f'max_inference_length, {limit}; raise that or shorten the prompt'
      )
    if prompt_length + length > limit:
      raise UserError(
        f'length: got {length} tokens after a prompt of {prompt_length}, '
        f'expected at most {limit - prompt_length}; raise '
        f'max_inference_length, {limit}, or generate less'
      )

  def _chunks(self, context, length, chunk, key, options):
    batch, n_context = context.shape
    weights = self._model.weights
    state = self._empty(batch)
    room = self.limit or max(length, ONE_PASS)
    unknown = np.full((batch, room), UNKNOWN, np.int32)
    generate = functools.partial(
      self._generate, weights, options=options, key=key
    )
    if n_context > ONE_PASS:
      _, state = self._read(weights, state, context[:, :-1])
    elif n_context > 1:
      known = unknown.copy()
      known[:, : n_context - 1] = context[:, 1:]
      state, *_ = generate(state, context[:, 0], known, 0, n_context - 1)
    token = context[:, -1]
    for first in range(0, length, chunk):
      n = min(chunk, length - first)
      state, *generated = generate(state, token, unknown, first, n)
      part = Sample(*(np.asarray(x)[:, :n] for x in generated))
      token = part.tokens[:, -1]
      yield part

  def _empty_state(self, batch):
    """Returns the state before the first token."""
    model = self._model
    weights, state, rng = model.weights, model.state, model.rng
    try:
      return model.init(shapes.ShapeDtype((batch, 1), np.int32))[1]
    finally:
      model.weights, model.state, model.rng = weights, state, rng

  def _call(self, weights, state, tokens):
    """Returns logits, and the state after the tokens."""
    logits, new = self._model.pure_fn(tokens, weights, state, self._rng)
    # Some layers of Trax rename their state when they first run.
    structure = jax.tree.structure(state)
    return logits, jax.tree.unflatten(structure, jax.tree.leaves(new))

  def _loop(self, weights, state, token, tokens, first, n, options, key):
    """Returns the state, tokens and log-probabilities, `(batch, room)`.

    Args:
      weights: The model's weights.
      state: The model's state.
      token: The previous token of each row, `(batch,)`.
      tokens: `(batch, room)`; those that are `UNKNOWN` are drawn.
      first: Index in the sample of the first of `tokens`.
      n: Number of tokens to process, at most `room`; traced.
      options: Keyword arguments of `sampling.draw`.
      key: Random key of the sample.
    """
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(len(token)))
    keys_at = jax.vmap(jax.random.fold_in, (0, None))

    def step(i, carry):
      state, token, tokens, log_probs = carry
      logits, state = self._call(weights, state, token[:, None])
      logits = logits[:, 0].astype(jnp.float32)
      drawn = sampling.draw(logits, keys_at(keys, first + i), **options)
      token = jnp.where(tokens[:, i] == UNKNOWN, drawn, tokens[:, i])
      log_prob = jnp.take_along_axis(
        jax.nn.log_softmax(logits), token[:, None], axis=1
      )
      return (
        state,
        token,
        tokens.at[:, i].set(token),
        log_probs.at[:, i].set(log_prob[:, 0]),
      )

    log_probs = jnp.zeros(tokens.shape, jnp.float32)
    carry = state, token, tokens, log_probs
    state, _, *generated = jax.lax.fori_loop(0, n, step, carry)
    return state, *generated


def _layers(layer, kind):
  """Yields the layers of a class within a layer, itself included, in order."""
  if isinstance(layer, kind):
    yield layer
  for sublayer in layer.sublayers:
    yield from _layers(sublayer, kind)
