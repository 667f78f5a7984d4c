"""The Reformer's attention (arXiv:2001.04451), for long sequences."""

import functools
import numbers

import jax
from jax import numpy as jnp
from trax import layers as tl
from trax.layers.research import efficient_attention

from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.layers.attention.cached import CachedAttention
from trax_hourglass.layers.attention.rotary import Rotate, RotateNext
from trax_hourglass.layers.basic import Dense, RestoredSerial, stored
from trax_hourglass.layers.checks import check_dropout, check_heads, check_mode


def LSHAttention(
  d_model,
  n_heads=1,
  dropout=0.0,
  mode='train',
  context_bias_layer=None,
  location_bias_layer=None,
  total_pooling=1,
  chunk_len=128,
  n_chunks_before=1,
  n_hashes=2,
  n_buckets=None,
  max_inference_length=2048,
):
  """Returns a layer that maps `(batch, length, d_model)` to the same shape.

  Multi-head self-attention within chunks of similar vectors: sorts the vectors
  by a random hash, cuts them into chunks of `chunk_len`, and lets a vector
  attend to earlier ones in its own chunk and the `n_chunks_before` chunks
  before it. Outputs for several hashes, `n_hashes`, are averaged by the weight
  of their logits. A hash has `n_buckets` values, an even number or a list of
  factors, by default two for each chunk. Memory grows with length * chunk_len;
  any length is padded to a multiple of `chunk_len` and cropped.

  No output attends to a later vector, but later vectors too decide which chunk
  a vector falls into: changing one moves outputs before it.

  Mode `'predict'` hashes nothing: a vector attends to all earlier ones, with
  the same weights, as in training with one chunk for the whole sequence.

  All other arguments, and errors, are those of `RelativeAttention`; the biases
  are not used, as vectors are rotated by their positions (arXiv:2104.09864),
  before the heads are split, as in the published models.

  Source: arXiv:2110.13711, Section 3.4.2, has the defaults; arXiv:2001.04451.
  """
  del context_bias_layer, location_bias_layer
  check_mode(mode)
  check_dropout(dropout)
  check_heads(d_model, n_heads)
  check_positive(chunk_len=chunk_len, n_hashes=n_hashes)
  if n_chunks_before != 0:
    check_positive(n_chunks_before=n_chunks_before)
  _check_buckets(n_buckets)
  if mode == 'predict':
    rotate_layer = functools.partial(RotateNext, total_pooling)
    attention = CachedSelfAttention(total_pooling, max_inference_length)
  else:
    rotate_layer = Rotate
    attention = HashedSelfAttention(
      n_heads=n_heads,
      causal=True,
      chunk_len=chunk_len,
      n_chunks_before=n_chunks_before,
      n_hashes=n_hashes,
      n_buckets=n_buckets,
      attention_dropout=dropout,
      mode=mode,
    )
  return RestoredSerial(
    tl.Branch(
      [Dense(d_model), rotate_layer(), tl.SplitIntoHeads(n_heads)],
      [Dense(d_model), tl.SplitIntoHeads(n_heads)],
    ),  # queries that are also the keys, values
    attention,
    tl.MergeHeads(n_heads),
    Dense(d_model),
    name='LSHAttention',
  )


def _check_buckets(n_buckets):
  if n_buckets is None:
    return
  factors = n_buckets if isinstance(n_buckets, list | tuple) else [n_buckets]
  if not factors or not all(
    isinstance(n, numbers.Integral) and n > 0 and n % 2 == 0 for n in factors
  ):
    raise UserError(
      f'n_buckets: got {n_buckets!r}, expected an even number, a list of them, '
      'or None for two per chunk'
    )


class HashedSelfAttention(efficient_attention.PureLSHSelfAttention):
  """Trax's LSH attention for any number and length of sequences.

  Maps (queries that are also the keys, values), each
  `(batch * n_heads, length, d_head)`, to that shape. Trax keeps buckets and
  random keys as state, which fits only the batch that the layer was initialised
  with. Here hashes and dropout follow from the layer's random key alone, the
  same for all sequences. Heads are computed in turn, and again in the backward
  pass, so that the attention weights of one head are in memory at a time.
  """

  has_backward = False

  def init_weights_and_state(self, input_signature):
    """Has neither weights nor state."""

  def forward(self, inputs):
    if not inputs[0].size:  # No sequences, or none but empty ones.
      return inputs[1]
    n, length, _ = inputs[0].shape
    padding = [(0, 0), (0, -length % self._chunk_len), (0, 0)]
    queries, values = (jnp.pad(x, padding) for x in stored(inputs))

    # In float32: Trax computes softmax and sums over hashes in the precision of
    # its inputs, and the logit of a vector with itself is near -1e5.
    @jax.checkpoint
    def attend(queries, values, key):
      outputs, _ = self.forward_unbatched(
        queries.astype(jnp.float32),
        values.astype(jnp.float32),
        state=((), key),
        rng=key,
        update_state=True,
      )
      return outputs.astype(values.dtype)

    def by_head(x):
      return x.reshape(-1, self._n_heads, *x.shape[1:]).swapaxes(0, 1)

    outputs = jax.lax.map(
      lambda batch: jax.vmap(attend)(*batch),
      (by_head(queries), by_head(values), by_head(self._keys(n))),
    )
    outputs = outputs[:, :, :length]
    return stored(outputs.swapaxes(0, 1).reshape(n, length, -1))

  def hash_vectors(self, vecs, rng, mask=None):
    # The zeros of the padding are sorted after everything else.
    return super().hash_vectors(vecs, rng, jnp.any(vecs != 0, axis=-1))

  def _keys(self, n):
    """Returns a random key for each head of each sequence, `(n, ...)`."""
    keys = jax.random.split(self.rng, self._n_heads)
    return keys[jnp.arange(n) % self._n_heads]


class CachedSelfAttention(CachedAttention):
  """`HashedSelfAttention` in mode `'predict'`, with one chunk for all vectors.

  Maps (queries that are also the keys, values) of a call.
  """

  def __init__(self, total_pooling, max_inference_length):
    super().__init__(total_pooling, max_inference_length, excludes_self=True)
    self._n_in = 2

  def init_weights_and_state(self, input_signature):
    queries, values = input_signature
    super().init_weights_and_state((queries, queries, values))

  def forward(self, inputs):
    queries, values = inputs
    keys = efficient_attention.length_normalized(queries.astype(jnp.float32))
    return super().forward((queries, keys.astype(queries.dtype), values))
