"""Metrics of a language model, for Trax's loop."""

import math

from trax import layers as tl


def nats_to_bits(nats):
  return nats / math.log(2)


def BitsPerByte():
  """Returns a layer that maps (logits, targets, weights) to a scalar.

  The weighted mean cross-entropy in bits; shapes are those of
  `tl.WeightedCategoryCrossEntropy`. On pixels it is the bits per dim.
  """
  return tl.Serial(
    tl.WeightedCategoryCrossEntropy(),
    tl.Fn('NatsToBits', nats_to_bits),
    name='BitsPerByte',
  )
