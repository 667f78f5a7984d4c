"""Which inputs reach which outputs."""

from jax import numpy as jnp
import numpy as np
from trax.layers.research import efficient_attention

from tests import trax_tools


def of(layer, length, d_model):
  """Returns booleans [input, output]: whether the input moves the output.

  The layer maps a sequence, and a copy of it with one vector changed for each
  input.
  """
  rng = np.random.default_rng(0)
  x = rng.normal(size=(length, d_model))
  changes = np.eye(length)[..., None] * rng.normal(size=d_model)
  copies = np.concatenate([x[None], x + changes]).astype(np.float32)
  signature = trax_tools.activations_signature(length, d_model)
  return between(copies, trax_tools.Jitted(layer, signature))


def between(copies, forward):
  """Returns booleans [input, output]: row j + 1 differs from row 0 in j."""
  # Two draws of weights: no influence vanishes by chance in both.
  outputs = [
    np.asarray(forward.each(forward.random_weights(seed), copies))
    for seed in (0, 1)
  ]
  return np.any([(y[1:] != y[:1]).any(-1) for y in outputs], axis=0)


def fix_hashes(monkeypatch):
  """Hashes by position alone, so that vectors keep their chunks."""

  def hash_vectors(layer, vecs, rng, mask=None):
    i = jnp.arange(layer._n_hashes * len(vecs))
    return i // len(vecs) * 2 + i % 2

  for lsh_class in (
    efficient_attention.LSHSelfAttention,
    efficient_attention.PureLSHSelfAttention,
  ):
    monkeypatch.setattr(lsh_class, 'hash_vectors', hash_vectors)
