"""Data sets that Trax's own pipelines ask for."""

import pytest
import tensorflow_datasets as tfds

from trax_hourglass.data import trax_sets
from trax_hourglass.errors import UserError


def test_a_folder_without_its_data_set_is_one_line(tmp_path, caplog):
  """Without the warning of TFDS."""
  (tmp_path / 'cifar10' / str(tfds.builder('cifar10').version)).mkdir(
    parents=True
  )
  caplog.clear()
  with pytest.raises(UserError, match='cifar10: got nothing in'):
    trax_sets.check('cifar10', str(tmp_path))
  assert not caplog.records
