"""Completed images keep their upper halves, and have bits per dim."""

import numpy as np

from trax_hourglass.generation import Sample, completion


class Counting:
  """Generates 0, 1, 2, ... after each prompt, each of probability 1/4."""

  def sample(self, prompt, length, *, n_samples, seed):
    self.prompt, self.seed = prompt, seed
    n = len(prompt) * n_samples
    tokens = np.arange(n * length).reshape(n, length)
    return Sample(tokens.astype(np.int32), np.full(tokens.shape, np.log(0.25)))


def test_completes_upper_halves():
  images = np.arange(2 * 5 * 2 * 3, dtype=np.uint8).reshape(2, 5, 2, 3)
  sampler = Counting()
  done = completion.complete(sampler, images, 3, seed=7)
  assert done.n_given == 2
  np.testing.assert_array_equal(sampler.prompt, images[:, :2].reshape(2, 12))
  assert sampler.seed == 7
  assert done.completed.shape == (2, 3, 5, 2, 3)
  for i in range(2):
    for j in range(3):
      np.testing.assert_array_equal(done.completed[i, j, :2], images[i, :2])
      np.testing.assert_array_equal(
        done.completed[i, j, 2:].ravel(), 18 * (3 * i + j) + np.arange(18)
      )
  np.testing.assert_allclose(done.bits, np.full((2, 3), 2.0))
