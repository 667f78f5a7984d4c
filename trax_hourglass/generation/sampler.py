"""Samples from a model in mode 'predict', in one compiled loop."""

from collections.abc import Iterator, Sequence

import jax
from jax import numpy as jnp
import numpy as np
from trax import layers as tl
from trax import shapes
from trax.layers import base

from trax_hourglass.data import streams
from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.generation import prompts as prompts_lib
from trax_hourglass.generation import sampling, stops
from trax_hourglass.generation.prompts import UNKNOWN, Prompts
from trax_hourglass.generation.sample import Sample
from trax_hourglass.kernels.cached import starts as starts_lib
from trax_hourglass.layers.basic import layers_of, restored_on_error
from trax_hourglass.layers.checks import check_tokens
from trax_hourglass.layers.metrics import token_log_probs
from trax_hourglass.models.cached import Limit, check_ready, start_multiple

# Prompts of this many tokens are worth a compiled program of their own.
ONE_PASS = 64
_STOP_CHUNK = 16  # Tokens between two searches for the strings that end rows.


class Sampler:
  """Generates tokens with a model, whose weights and state it leaves alone.

  The loop over tokens is compiled once for each number of rows, whatever the
  length of a sample and however it is streamed, and once more for prompts of
  different lengths. Prompts of at least `ONE_PASS` tokens go through the model
  in one pass, compiled for each length, or where lengths differ for each
  multiple of `ONE_PASS`; shorter ones go through the loop.

  Args:
    model: Initialised Trax layer in mode `'predict'`, such as an `HourglassLM`,
      that maps tokens, `(batch, length)`, to logits, `(batch, length,
      vocab_size)`. Its weights may change between calls.

  Raises:
    UserError: If the model is an Hourglass in another mode, or without weights.
  """

  def __init__(self, model: base.Layer):
    check_ready(model, 'predict')
    self._model = model
    self._rng = jax.random.PRNGKey(0)  # Nothing is drawn in this mode.
    _ = model.rng  # Made when first read: not within a trace.
    self._empty = jax.jit(self._empty_state, static_argnums=0)
    self._read = jax.jit(self._call, donate_argnums=1)
    self._generate = jax.jit(self._loop, donate_argnames='state')

  @property
  def limit(self) -> int | None:
    """Most tokens of prompt and sample together; `None` if not known."""
    limits = layers_of(self._model, Limit)
    return min((limit.n for limit in limits), default=None)

  @property
  def vocab_size(self) -> int | None:
    """Tokens in the model's first embedding; `None` if it has none."""
    for embedding in layers_of(self._model, tl.Embedding):
      return len(embedding.weights)
    return None

  def sample(
    self,
    prompt: Prompts = None,
    length: int = 100,
    *,
    n_samples: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    stop: bytes | Sequence[bytes] = (),
    first_row: int = 0,
  ) -> Sample:
    """Returns continuations of a prompt, or of several of any lengths.

    A row depends only on the seed, its number and its prompt.

    Args:
      prompt: Bytes, or tokens, `(prompt length,)` or `(n_prompts, prompt
        length)`, or a list of bytes and of tokens, `(prompt length,)`. By
        default none.
      length: Number of tokens to generate, at most.
      n_samples: Samples of each prompt, in consecutive rows: there are
        n_prompts * n_samples rows.
      temperature: Divisor of the logits; 0 takes the likeliest token.
      top_k: Draw from this many of the likeliest tokens; by default from all.
      top_p: Draw from the fewest of the likeliest tokens that reach this
        probability, in (0, 1]; by default from all.
      seed: Seed of the draws, at least 0 and below 2**63.
      stop: Bytes, or several: a row ends with the first of them that it
        generates. Generation ends when all rows have ended.
      first_row: Number of the first row.

    Raises:
      UserError: If an argument is out of range, or prompt and sample exceed
        `limit`.
    """
    parts = self.stream(
      prompt,
      length,
      chunk=_STOP_CHUNK if stop else length,
      n_samples=n_samples,
      temperature=temperature,
      top_k=top_k,
      top_p=top_p,
      seed=seed,
      stop=stop,
      first_row=first_row,
    )
    return Sample(
      *(np.concatenate(x, axis=1) for x in zip(*parts, strict=True))
    )

  def stream(
    self,
    prompt: Prompts = None,
    length: int = 100,
    *,
    chunk: int = 8,
    n_samples: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    stop: bytes | Sequence[bytes] = (),
    first_row: int = 0,
  ) -> Iterator[Sample]:
    """Yields what `sample` returns, in chunks of `chunk` tokens.

    The last one may be shorter. Arguments are checked when this is called.
    """
    check_positive(length=length, chunk=chunk, n_samples=n_samples)
    streams.check_seed(seed)
    if first_row:
      check_positive(first_row=first_row)
    sampling.check_draw(temperature, top_k, top_p)
    stop = stops.stop_strings(stop)
    prompts = self._prompts(prompt, length, n_samples)
    options = {
      'temperature': float(temperature),
      'top_k': None if top_k is None else min(top_k, np.iinfo(np.int32).max),
      'top_p': None if top_p is None else float(top_p),
    }
    numbers = first_row + np.arange(len(prompts), dtype=np.int32)
    parts = self._chunks(
      prompts, length, chunk, key=sampling.key(seed), numbers=numbers, **options
    )
    return map(
      Sample._make, stops.until_stopped(parts, stop) if stop else parts
    )

  def _prompts(self, prompt, length, n_samples):
    """Returns the tokens of each row's prompt."""
    prompts = prompts_lib.rows(prompt)
    for i, row in enumerate(prompts):
      name = 'prompt' if len(prompts) == 1 else f'prompt {i}'
      if self.vocab_size is not None:
        check_tokens(row, self.vocab_size, name)
      self._check_room(len(row), length, name)
    return [row for row in prompts for _ in range(n_samples)]

  def _check_room(self, prompt_length, length, name):
    limit = self.limit
    if limit is None:
      return
    if prompt_length >= limit:
      raise UserError(
        f'{name}: got {prompt_length} tokens, expected fewer than '
        f'max_inference_length, {limit}; raise that or shorten the prompt'
      )
    if prompt_length + length > limit:
      raise UserError(
        f'length: got {length} tokens after a {name} of {prompt_length}, '
        f'expected at most {limit - prompt_length}; raise '
        f'max_inference_length, {limit}, or generate less'
      )

  def _chunks(self, prompts, length, chunk, **options):
    """Yields tokens and log-probabilities of all rows, `(batch, chunk)`."""
    limit = self.limit
    rows = prompts_lib.side_by_side(
      prompts, ONE_PASS, start_multiple(self._model), limit and limit - length
    )
    tokens, n_read, starts, lead = rows
    n_lead = int(lead.max())
    unknown = np.full(
      (len(tokens), limit or max(n_lead + length, ONE_PASS)), UNKNOWN, np.int32
    )
    known = unknown.copy()
    known[:, :n_lead] = tokens[:, n_read + 1 :]
    weights, state = self._model.weights, self._empty(len(tokens))
    if n_read:
      _, state = self._read(weights, state, tokens[:, :n_read], starts)
    token, index = tokens[:, n_read], -lead
    # Rows whose prompts ended early are ahead of the others.
    ahead = [np.zeros((len(tokens), 0), x) for x in (np.int32, np.float32)]
    for first in range(0, length, chunk):
      n = min(chunk, length - first)
      n_steps = n if first else n_lead + n
      state, *new = self._generate(
        weights, state, token, known, index, n_steps, starts, options
      )
      new = [np.asarray(x)[:, :n_steps] for x in new]
      token, index, known = new[0][:, -1], index + n_steps, unknown
      ahead = [np.concatenate(x, axis=1) for x in zip(ahead, new, strict=True)]
      columns = lead[:, None] + np.arange(n)
      yield tuple(np.take_along_axis(x, columns, axis=1) for x in ahead)
      ahead = [x[:, n:] for x in ahead]

  def _empty_state(self, batch):
    """Returns the state before the first token."""
    model = self._model
    weights, state, rng = model.weights, model.state, model.rng
    try:
      return model.init(shapes.ShapeDtype((batch, 1), np.int32))[1]
    finally:
      model.weights, model.state, model.rng = weights, state, rng

  def _call(self, weights, state, tokens, starts):
    """Returns logits, and the state after the tokens."""
    with starts_lib.rows_start_at(starts), restored_on_error(self._model):
      logits, new = self._model.pure_fn(tokens, weights, state, self._rng)
    # Some layers of Trax rename their state when they first run.
    structure = jax.tree.structure(state)
    return logits, jax.tree.unflatten(structure, jax.tree.leaves(new))

  def _loop(self, weights, state, token, tokens, index, n, starts, options):
    """Returns the state, tokens and log-probabilities, `(batch, room)`.

    Args:
      weights: The model's weights.
      state: The model's state.
      token: The previous token of each row, `(batch,)`.
      tokens: `(batch, room)`; those that are `UNKNOWN` are drawn.
      index: Index in each row's sample of the first of `tokens`, `(batch,)`.
      n: Number of tokens to process, at most `room`; traced.
      starts: Where each row starts, `(batch,)`, or `None`.
      options: Keyword arguments of `sampling.draw`, without `keys`; and `key`,
        the random key of the sample, and `numbers` of its rows, `(batch,)`.
    """
    options = dict(options)
    key, numbers = options.pop('key'), options.pop('numbers')
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, numbers)

    def step(i, carry):
      state, token, tokens, log_probs = carry
      logits, state = self._call(weights, state, token[:, None], starts)
      logits = logits[:, 0].astype(jnp.float32)
      keys_at_i = jax.vmap(jax.random.fold_in)(keys, index + i)
      drawn = sampling.draw(logits, keys_at_i, **options)
      token = jnp.where(tokens[:, i] == UNKNOWN, drawn, tokens[:, i])
      log_prob = token_log_probs(logits, token)
      return (
        state,
        token,
        tokens.at[:, i].set(token),
        log_probs.at[:, i].set(log_prob),
      )

    log_probs = jnp.zeros(tokens.shape, jnp.float32)
    carry = state, token, tokens, log_probs
    state, _, *generated = jax.lax.fori_loop(0, n, step, carry)
    return state, *generated
