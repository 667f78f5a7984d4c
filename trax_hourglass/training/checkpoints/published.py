"""The checkpoints that the authors published, for evaluate and generate.

The addresses are from the authors' notebooks, which state no checksums: a file
is accepted if it is complete, and is read as data, see `pickles`.
"""

import dataclasses
import functools
import gzip
import os

from trax_hourglass import pretrained_models
from trax_hourglass.data import downloads, files
from trax_hourglass.errors import UserError

_BUCKET = 'https://storage.googleapis.com/trax-ml/hourglass/'
_DRIVE = 'https://drive.usercontent.google.com/download?export=download&'
_PIECE = 1 << 20


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """A published checkpoint.

  Attributes:
    url: Its address.
    config_file: The gin file of this package with its model.
    in_tar: Whether it is in a tar, with its `config.gin`.
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
  """Returns the path of a published checkpoint, downloaded if necessary.

  Args:
    name: One of `CHECKPOINTS`.
    data_dir: The folder of downloads.

  Raises:
    UserError: If there is no such checkpoint, or it cannot be fetched.
  """
  published = _find(name)
  folder = os.path.join(files.folder('data_dir', data_dir), 'authors', name)
  path = os.path.join(folder, 'model.pkl.gz')
  if not published.in_tar:
    downloads.download(published.url, path, _check_gzip)
  else:
    files.make_once(path, functools.partial(_fetch_tar, published.url, folder))
  return path


def arguments(name: str, otherwise: str) -> dict[str, str]:
  """Returns arguments of `commands.evaluate` and others for a published model.

  Args:
    name: One of `CHECKPOINTS`.
    otherwise: The name of a model that ships with this package, or else the
      output directory of a run: the model that is used, as a line says, if the
      checkpoint cannot be fetched.

  Raises:
    UserError: If there is no such checkpoint.
  """
  published = _find(name)
  try:
    path = fetch(name)
  except UserError as error:
    if otherwise in pretrained_models.names():
      kind, model = 'pretrained', f'{otherwise}, which ships with the package,'
    else:
      kind, model = 'checkpoint', f'in {otherwise}'
    print(f'{error}\nThe model {model} takes its place.')
    return {kind: otherwise}
  return {'checkpoint': path, 'config_file': published.config_file}


def flags(name: str, otherwise: str) -> list[str]:
  """Returns `arguments` as flags of the commands."""
  found = arguments(name, otherwise)
  return [f'--{name}={value}' for name, value in found.items()]


def _find(name):
  if name not in CHECKPOINTS:
    raise UserError(
      f'checkpoint: got {name!r}, expected one of {tuple(CHECKPOINTS)}'
    )
  return CHECKPOINTS[name]


def _check_gzip(path, source):
  """Raises `UserError` unless a file is a complete gzip."""
  with files.reading(source), gzip.open(path) as file:
    for _ in iter(functools.partial(file.read, _PIECE), b''):
      pass


def _fetch_tar(url, folder, path):
  """Downloads a tar into a folder and writes the tar's checkpoint to `path`."""
  tar = os.path.join(folder, 'checkpoint.tar.gz')
  downloads.download(url, tar, _check_gzip)
  _unpack(tar, path)
  os.remove(tar)


def _unpack(tar, path):
  """Writes the checkpoint in a tar to `path`, and its other files beside it."""
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
