"""The checkpoints that the authors published, for evaluate and generate.

Their addresses are those in the authors' notebooks. They state no checksums: a
file is taken if it is whole, and is read as data, see `pickles`.
"""

import dataclasses
import functools
import gzip
import os

from trax_hourglass.data import files
from trax_hourglass.errors import UserError

_BUCKET = 'https://storage.googleapis.com/trax-ml/hourglass/'
_DRIVE = 'https://drive.usercontent.google.com/download?export=download&'
_PIECE = 1 << 20


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """A checkpoint on the net.

  Attributes:
    url: Where it is.
    config_file: The gin file of ours that has its model.
    in_tar: Whether a tar holds it, with its `config.gin`.
  """

  url: str
  config_file: str
  in_tar: bool = False


CHECKPOINTS = {
  'enwik8': Checkpoint(
    _DRIVE + 'id=18wrzKZLBtLuFOHwzuF-7i_p-rD2miE_6&confirm=t',
    'authors/hourglass_enwik8.gin',
    in_tar=True,
  ),
  'imagenet32': Checkpoint(
    _BUCKET + 'imagenet32/model_470000.pkl.gz',
    'authors/hourglass_imagenet32.gin',
  ),
  'imagenet64': Checkpoint(
    _BUCKET + 'imagenet64/model_300000.pkl.gz',
    'authors/hourglass_imagenet64.gin',
  ),
}


def fetch(
  name: str, data_dir: str | os.PathLike = '~/.cache/trax_hourglass'
) -> str:
  """Returns the path of a published checkpoint, downloaded if need be.

  Args:
    name: One of `CHECKPOINTS`.
    data_dir: Where downloads are kept, each in a folder of its own.

  Raises:
    UserError: If there is no such checkpoint, or it cannot be fetched.
  """
  published = _find(name)
  folder = os.path.join(os.path.expanduser(data_dir), 'authors', name)
  path = os.path.join(folder, 'model.pkl.gz')
  if not published.in_tar:
    files.download(published.url, path, _check_gzip)
  else:
    files.make_once(path, functools.partial(_fetch_tar, published.url, folder))
  return path


def flags(name: str, otherwise: str) -> list[str]:
  """Returns the flags that give a published model to evaluate or generate.

  Args:
    name: One of `CHECKPOINTS`.
    otherwise: The output directory of a training run, whose model takes its
      place, as a line says, where the checkpoint cannot be fetched.

  Raises:
    UserError: If there is no such checkpoint.
  """
  published = _find(name)
  try:
    path = fetch(name)
  except UserError as error:
    print(f'{error}\nThe model in {otherwise} takes its place.')
    return [f'--checkpoint={otherwise}']
  return [
    f'--init_checkpoint={path}',
    f'--config_file={published.config_file}',
  ]


def _find(name):
  if name not in CHECKPOINTS:
    raise UserError(
      f'checkpoint: got {name!r}, expected one of {tuple(CHECKPOINTS)}'
    )
  return CHECKPOINTS[name]


def _check_gzip(path, source):
  """Raises a `UserError` unless a file is a whole gzip."""
  with files.reading(source), gzip.open(path) as file:
    for _ in iter(functools.partial(file.read, _PIECE), b''):
      pass


def _fetch_tar(url, folder, path):
  """Downloads a tar into a folder and writes the tar's checkpoint to `path`."""
  tar = os.path.join(folder, 'checkpoint.tar.gz')
  files.download(url, tar, _check_gzip)
  _unpack(tar, path)
  os.remove(tar)


def _unpack(tar, path):
  """Writes the checkpoint in a tar to `path`, and beside it what is with it."""
  contents = {
    os.path.basename(name): content for name, content in files.tar_members(tar)
  }
  if 'model.pkl.gz' not in contents:
    raise UserError(
      f'{tar}: got {sorted(contents)}, expected model.pkl.gz in it; delete it '
      'and fetch it again'
    )
  checkpoint = contents.pop('model.pkl.gz')
  for name, content in contents.items():
    with open(os.path.join(os.path.dirname(path), name), 'wb') as file:
      file.write(content)
  with open(path, 'wb') as file:
    file.write(checkpoint)
