"""Trax's Dense layer, on a matrix of all vectors."""

from trax import layers as tl


class Dense(tl.Dense):
  """`tl.Dense` that multiplies one flat matrix: `(..., d_in)` to `(..., n)`.

  Weights, initialisers and arguments are those of `tl.Dense`. XLA computes the
  weights' gradient of flat activations at twice the speed on a CPU: it needs
  not transpose a tensor first.
  """

  def forward(self, x):
    y = super().forward(x.reshape(-1, x.shape[-1]))
    return y.reshape(*x.shape[:-1], y.shape[-1])
