"""The Reformer's attention (arXiv:2001.04451), for long sequences."""

import numbers

import jax
from jax import numpy as jnp
from trax import layers as tl
from trax.layers.research import efficient_attention

from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.kernels.alignment import Alignment
from trax_hourglass.layers.attention.cached import CachedAttention
from trax_hourglass.layers.attention.rotary import Rotate, RotateNext
from trax_hourglass.layers.basic import Dense, stored
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
  by a random hash, cuts them into chunks, and lets a vector attend to those of
  its own chunk and of the chunk before that are earlier than itself. What
  several hashes find is weighed by its logits. Memory grows with
  length * chunk_len.

  No output sees a later vector, but which chunk a vector falls into depends on
  all the vectors, later ones too: changing one moves outputs before it.

  Mode `'predict'` hashes nothing: a vector attends to all earlier ones, with
  the same weights, as training does where one chunk holds the whole sequence.

  Args:
    d_model: Width of the activations; even, and a multiple of `n_heads`.
    n_heads: Number of attention heads.
    dropout: Share of the attention weights dropped in training, in [0, 1).
    mode: `'train'`, `'eval'` or `'predict'`.
    context_bias_layer: Not used, as positions turn the vectors: part of every
      type's signature.
    location_bias_layer: Not used.
    total_pooling: Total shorten factor of the activations, used by the cache.
    chunk_len: Vectors in a chunk. Any length will do: padding goes to the last
      chunks and is cropped.
    n_chunks_before: How many chunks before its own a vector attends to.
    n_hashes: Number of hashes.
    n_buckets: Number of values of a hash, even, or a list of such numbers whose
      product it is. By default two for each chunk.
    max_inference_length: As for `RelativeAttention`.

  Raises:
    UserError: If an argument is out of its range.

  Source: arXiv:2110.13711, Section 3.4.2, has the defaults; arXiv:2001.04451.
    A vector is rotated (arXiv:2104.09864) before the heads are split, as in the
    published models.
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
    rotate_layer = RotateNext
    alignment = Alignment(total_pooling=total_pooling)
    attention = CachedSelfAttention(
      alignment.cache_length(max_inference_length)
    )
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
  return tl.Serial(
    tl.Branch(
      [Dense(d_model), rotate_layer(), tl.SplitIntoHeads(n_heads)],
      [Dense(d_model), tl.SplitIntoHeads(n_heads)],
    ),  # queries that are the keys too, values
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
  """Trax's LSH attention, of sequences of any number and length.

  Maps (queries that are the keys too, values), each
  `(batch * n_heads, length, d_head)`, to that shape. Trax keeps buckets and
  random keys as state, which fits the batch that the layer was initialised with
  and no other. Here hashes follow from the layer's random key alone, the same
  for all sequences. Heads are computed one after the other, and again in the
  backward pass, so that one head's attention weights are in memory at a time.
  """

  has_backward = False

  def init_weights_and_state(self, input_signature):
    """Makes none."""

  def forward(self, inputs):
    n, length, _ = inputs[0].shape
    padding = [(0, 0), (0, -length % self._chunk_len), (0, 0)]
    queries, values = (jnp.pad(x, padding) for x in stored(inputs))

    # In float32: Trax takes softmax and sums over hashes in the precision of
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
    # Padding, the zeros, is sorted behind all else.
    return super().hash_vectors(vecs, rng, jnp.any(vecs != 0, axis=-1))

  def _keys(self, n):
    """Returns `(n, 2)`: a random key for each head, in each sequence."""
    keys = jax.random.split(self.rng, self._n_heads)
    return jnp.tile(keys, (n // self._n_heads, 1))


class CachedSelfAttention(CachedAttention):
  """`HashedSelfAttention` in mode `'predict'`, of queries and values of a call.

  All vectors are as those of one chunk, so that nothing is hashed.
  """

  def __init__(self, length):
    super().__init__(length, excludes_self=True)
    self._n_in = 2

  def init_weights_and_state(self, input_signature):
    queries, values = input_signature
    super().init_weights_and_state((queries, queries, values))

  def forward(self, inputs):
    queries, values = inputs
    keys = efficient_attention.length_normalized(queries.astype(jnp.float32))
    return super().forward((queries, keys.astype(queries.dtype), values))
