"""Which keys a query sees, and at which distances.

Queries and keys may belong to two levels, when attention shortens or upsamples:
one sequence is finer than the other by a whole factor. From one query to the
next are `query_step` positions of the finer sequence, from one key to the next
`key_step`; one of the two is 1, and within a level both are. In every case

  distance(i, j) = unit * (key_step * j - query_step * i)
  i sees j       iff  j // query_step <= i // key_step

A group of `key_step` queries sees the same keys, and the next group sees
`query_step` more. So the distances of visible pairs among `q` queries and `k`
keys are `max(q, k)` numbers, from `-query_step * (q - 1)` to `query_step - 1`
units, and no others are computed.

Source: arXiv:1901.02860, Section 3.3; arXiv:2110.13711, Section 2.
"""

import typing

from jax import numpy as jnp

from trax_hourglass.errors import UserError, check_positive


class Alignment(typing.NamedTuple):
  """The positions of queries and keys in the finer of their sequences.

  Attributes:
    query_step: Positions from one query to the next.
    key_step: Positions from one key to the next.
    total_pooling: Total shorten factor of the finer sequence.
  """

  query_step: int = 1
  key_step: int = 1
  total_pooling: int = 1

  @property
  def is_within_level(self):
    """Whether queries and keys have the same positions."""
    return self.query_step == self.key_step

  @property
  def unit(self):
    """The distance of two neighbours in the finer sequence.

    Distances count tokens of the model's input, except in upsampling, where
    they count vectors of the finer sequence, as in the published checkpoints.
    """
    return 1 if self.key_step > 1 else self.total_pooling

  @property
  def tokens_per_key(self):
    """The number of tokens of the model's input that a key stands for."""
    return self.total_pooling * self.key_step

  @property
  def tokens_per_row(self):
    """The number of tokens of a group of queries: that of the coarser."""
    return self.total_pooling * self.query_step * self.key_step

  def distance(self, query, key):
    """Returns the distance of a key from a query, negative in the past."""
    return self.unit * (self.key_step * key - self.query_step * query)

  def distances(self, n_queries):
    """Returns the distances of all visible pairs, the farthest past first."""
    first = -self.query_step * (n_queries - 1)
    return self.unit * jnp.arange(first, self.query_step)

  def index(self, query, key, n_queries):
    """Returns the index of a visible pair's distance in `distances`."""
    last = n_queries - 1
    return self.key_step * key + self.query_step * (last - query)

  def group(self, query):
    """Returns the group of queries that a query belongs to."""
    return query // self.key_step

  def n_seen(self, group):
    """Returns the number of keys, from the first on, that a group sees."""
    return self.query_step * (group + 1)

  def sees(self, query, key):
    """Returns whether a query sees a key."""
    return key < self.n_seen(self.group(query))

  def cache_length(self, max_inference_length):
    """Returns the number of keys that belong to so many tokens of the model.

    Raises:
      UserError: If that or `total_pooling` is not a whole number above 0.
    """
    check_positive(
      max_inference_length=max_inference_length,
      total_pooling=self.total_pooling,
    )
    return -(-max_inference_length // self.tokens_per_row) * self.query_step


def align(n_queries, n_keys, total_pooling=1):
  """Returns the `Alignment` of two sequences that start and end together.

  Args:
    n_queries: Length of the sequence of queries.
    n_keys: Length of the sequence of keys.
    total_pooling: Total shorten factor of the longer sequence.

  Raises:
    UserError: If neither length is a multiple of the other, or one alone is 0.
  """
  if n_queries == n_keys:
    return Alignment(total_pooling=total_pooling)
  shorter, longer = sorted((n_queries, n_keys))
  if not shorter or longer % shorter:
    raise UserError(
      f'got {n_queries} queries and {n_keys} keys, expected one number to be a '
      'multiple of the other'
    )
  return Alignment(
    max(n_keys // n_queries, 1), max(n_queries // n_keys, 1), total_pooling
  )
