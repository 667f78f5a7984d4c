"""The published checkpoints, served from a folder instead of the network."""

import gzip
import io
import pathlib
import tarfile
import threading

import pytest

from trax_hourglass import pretrained_models
from trax_hourglass.configuration import registration
from trax_hourglass.errors import UserError
from trax_hourglass.training.checkpoints import published

CONTENT = gzip.compress(b'weights')


def serve(monkeypatch, path, content, in_tar=False):
  """Makes 'enwik8' a file at `path`."""
  path.write_bytes(content)
  checkpoint = published.Checkpoint(path.as_uri(), 'enwik8.gin', in_tar)
  monkeypatch.setitem(published.CHECKPOINTS, 'enwik8', checkpoint)


def make_tar(**contents):
  file = io.BytesIO()
  with tarfile.open(fileobj=file, mode='w:gz') as tar:
    for name, content in contents.items():
      member = tarfile.TarInfo('enwik8_checkpoint/' + name.replace('_', '.'))
      member.size = len(content)
      tar.addfile(member, io.BytesIO(content))
  return file.getvalue()


def test_addresses_are_those_of_the_authors_notebooks():
  urls = {name: c.url for name, c in published.CHECKPOINTS.items()}
  assert '18wrzKZLBtLuFOHwzuF-7i_p-rD2miE_6' in urls.pop('enwik8')
  assert {url.partition('/trax-ml/')[2] for url in urls.values()} == {
    'hourglass/imagenet32/model_470000.pkl.gz',
    'hourglass/imagenet64/model_300000.pkl.gz',
  }


def test_their_gin_files_exist():
  for checkpoint in published.CHECKPOINTS.values():
    assert (registration.GIN_DIRECTORY / checkpoint.config_file).exists()


def test_checkpoint_by_itself(tmp_path, monkeypatch):
  serve(monkeypatch, tmp_path / 'served', CONTENT)
  path = published.fetch('enwik8', tmp_path)
  assert path == str(tmp_path / 'authors' / 'enwik8' / 'model.pkl.gz')
  assert gzip.decompress(pathlib.Path(path).read_bytes()) == b'weights'
  (tmp_path / 'served').unlink()
  assert published.fetch('enwik8', tmp_path) == path  # Kept.


def test_checkpoint_in_a_tar_with_its_configuration(tmp_path, monkeypatch):
  tar = make_tar(model_pkl_gz=CONTENT, config_gin=b'train.steps = 1\n')
  serve(monkeypatch, tmp_path / 'served', tar, in_tar=True)
  path = published.fetch('enwik8', tmp_path)
  assert gzip.decompress(pathlib.Path(path).read_bytes()) == b'weights'
  beside = tmp_path / 'authors' / 'enwik8' / 'config.gin'
  assert beside.read_text() == 'train.steps = 1\n'
  (tmp_path / 'served').unlink()
  assert published.fetch('enwik8', tmp_path) == path


def test_two_fetch_one_tar(tmp_path, monkeypatch):
  serve(monkeypatch, tmp_path / 'served', make_tar(model_pkl_gz=CONTENT), True)
  unpack, begun, paths = published._unpack, threading.Event(), []

  def unpack_while_another_waits(tar, path):
    begun.set()
    other.join(timeout=0.2)
    unpack(tar, path)

  def fetch():
    begun.wait()
    paths.append(published.fetch('enwik8', tmp_path))

  monkeypatch.setattr(published, '_unpack', unpack_while_another_waits)
  other = threading.Thread(target=fetch)
  other.start()
  paths.append(published.fetch('enwik8', tmp_path))
  other.join()
  assert paths == [str(tmp_path / 'authors' / 'enwik8' / 'model.pkl.gz')] * 2
  assert [p.name for p in pathlib.Path(paths[0]).parent.iterdir()] == [
    'model.pkl.gz'
  ]


@pytest.mark.parametrize(
  ('content', 'in_tar', 'message'),
  [
    (CONTENT[:-9], False, 'broken or truncated'),
    (b'<html>quota exceeded</html>', True, 'broken or truncated'),
    (make_tar(config_gin=b''), True, 'expected model.pkl.gz in it'),
  ],
)
def test_refuses_other_files(tmp_path, monkeypatch, content, in_tar, message):
  serve(monkeypatch, tmp_path / 'served', content, in_tar)
  with pytest.raises(UserError, match=message):
    published.fetch('enwik8', tmp_path)
  assert not (tmp_path / 'authors' / 'enwik8' / 'model.pkl.gz').exists()


def test_flags(tmp_path, monkeypatch, capsys):
  monkeypatch.setenv('HOME', str(tmp_path))
  serve(monkeypatch, tmp_path / 'served', CONTENT)
  checkpoint, config_file = published.flags('enwik8', otherwise='runs/small')
  assert checkpoint.startswith(f'--checkpoint={tmp_path}')
  assert config_file == '--config_file=enwik8.gin'
  assert not capsys.readouterr().out


def test_arguments_are_those_of_the_functions(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  serve(monkeypatch, tmp_path / 'served', CONTENT)
  found = published.arguments('enwik8', otherwise='runs/small')
  assert set(found) == {'checkpoint', 'config_file'}
  monkeypatch.setattr(published, 'fetch', _refuse)
  found = published.arguments('enwik8', otherwise='runs/small')
  assert found == {'checkpoint': 'runs/small'}
  monkeypatch.setattr(pretrained_models, 'names', lambda: ['small'])
  found = published.arguments('enwik8', otherwise='small')
  assert found == {'pretrained': 'small'}


def _refuse(name):
  raise UserError(f'{name} cannot be fetched')


def test_flags_where_it_cannot_be_fetched(tmp_path, monkeypatch, capsys):
  monkeypatch.setenv('HOME', str(tmp_path))
  serve(monkeypatch, tmp_path / 'served', CONTENT)
  (tmp_path / 'served').unlink()
  flags = published.flags('enwik8', otherwise='runs/small')
  assert flags == ['--checkpoint=runs/small']
  reason, said = capsys.readouterr().out.splitlines()
  assert 'cannot be downloaded' in reason
  assert said == 'The model in runs/small takes its place.'


def test_no_such_checkpoint():
  with pytest.raises(UserError, match="checkpoint: got 'wiki', expected one"):
    published.flags('wiki', otherwise='runs/small')
