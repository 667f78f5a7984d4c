"""Embedded samples replace data sets that are unavailable, and say so."""

import hashlib
import zipfile

import numpy as np
import pytest

from trax_hourglass.data import downloads, enwik8, imagenet, offline
from trax_hourglass.data.images import Images
from trax_hourglass.errors import UserError


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
  """Makes all data sets unavailable; returns the path of an empty folder."""
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'tfds'))
  gone = (tmp_path / 'gone').as_uri()
  archive = enwik8.Archive(f'{gone}/enwik8.zip', 'enwik8', 3, 'md5')
  monkeypatch.setattr(enwik8, 'ARCHIVE', archive)
  for key, split in imagenet.SPLITS.items():
    archives = tuple(
      downloads.Archive(
        f'{gone}/{archive.name}', archive.n_bytes, archive.sha256
      )
      for archive in split.archives
    )
    monkeypatch.setitem(
      imagenet.SPLITS, key, imagenet.Split(archives, split.n_images)
    )
  return tmp_path / 'data'


def test_sample_replaces_enwik8(nowhere, capsys):
  text = offline.enwik8_or_sample(nowhere)
  assert text.name == 'wikipedia sample'
  assert len(text.test) == 250_000
  reason, said = capsys.readouterr().out.splitlines()
  assert 'enwik8.zip: cannot be downloaded' in reason
  assert said == 'The embedded sample of Wikipedia takes its place.'


def test_enwik8_is_used_if_it_is_there(nowhere, monkeypatch, capsys):
  content = bytes(range(100))
  nowhere.mkdir()
  with zipfile.ZipFile(nowhere / 'enwik8.zip', 'w') as file:
    file.writestr('enwik8', content)
  md5 = hashlib.md5(content).hexdigest()
  archive = enwik8.Archive('unused', 'enwik8', len(content), md5)
  monkeypatch.setattr(enwik8, 'ARCHIVE', archive)
  text = offline.enwik8_or_sample(nowhere, download=False)
  assert text.name == 'enwik8'
  assert text.test.tobytes() == content[95:]
  assert not capsys.readouterr().out


@pytest.mark.parametrize('size', [32, 64])
def test_photographs_replace_imagenet(nowhere, capsys, size):
  images = offline.imagenet_or_photos(size, nowhere)
  assert images.name.startswith('photos32')
  assert images.split('validation').shape == (96, 32, 32, 3)
  *reasons, said = capsys.readouterr().out.splitlines()
  for reason, part in zip(
    reasons,
    (
      f'downsampled_imagenet/{size}x{size}: got nothing',
      f'got no valid_{size}x{size}.tar',
      f'Imagenet{size}_val_npz.zip: cannot be downloaded',
    ),
    strict=True,
  ):
    assert part in reason
  assert said == 'The embedded photographs take their place.'


@pytest.mark.parametrize('version', ['old', 'new'])
def test_imagenet_is_used_if_it_is_there(nowhere, version, capsys):
  """As a file unpacked earlier; the old set is tried first."""
  key = version, 32, 'validation'
  shape = (imagenet.SPLITS[key].n_images, 32, 32, 3)
  nowhere.mkdir()
  np.lib.format.open_memmap(
    nowhere / f'imagenet32_{version}_validation.npy', 'w+', np.uint8, shape
  )
  images = offline.imagenet_or_photos(32, nowhere, download=False)
  assert isinstance(images, Images)
  assert images.name == imagenet.name(32, version)
  assert images.split('validation').shape == shape
  assert 'photographs' not in capsys.readouterr().out


def test_no_such_size(nowhere):
  with pytest.raises(UserError, match='size: got 48, expected 32 or 64'):
    offline.imagenet_or_photos(48, nowhere)
