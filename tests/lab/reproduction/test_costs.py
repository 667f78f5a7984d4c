from trax import layers as tl

from trax_hourglass.lab.reproduction import analysis, costs


def test_operations_of_a_level():
  factors = (1, 2, 4)
  counted = costs.level_operations(
    length=1024, factors=factors, d_model=16, n_heads=2, window=16
  )
  by_kind = {}
  for record in counted:
    by_kind.setdefault(record['variant'], []).append(record['operations'])
  powers = {
    kind: analysis.exponent(factors, operations)
    for kind, operations in by_kind.items()
  }
  assert abs(powers['full attention alone'] - 2) < 0.02
  assert 1.2 < powers['full attention'] < 2
  assert abs(powers['local attention'] - 1) < 0.02
  assert abs(powers['local attention alone'] - 1) < 0.02


def test_operations_of_a_training():
  length, d_model, batch_size, steps = 7, 5, 3, 11

  def build(mode):
    assert mode == 'train'
    return tl.Serial(tl.Embedding(256, d_model), tl.Dense(256))

  model = costs.Model(build, length, batch_size)
  forward = 2 * length * d_model * 256
  # Backward: the gradients of weights and of activations.
  assert (
    costs.training_operations(model, steps) == 3 * forward * batch_size * steps
  )
