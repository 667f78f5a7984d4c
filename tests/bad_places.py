"""The files and folders that the cases of `bad_inputs` name."""

import gzip
import os
from pathlib import Path
import pickle
import shutil
import zipfile

import numpy as np
from PIL import Image

from tests.commands import arguments
from trax_hourglass import train


class _Gadget:
  """Makes a folder when it is unpickled."""

  def __init__(self, path):
    self._path = path

  def __reduce__(self):
    return os.mkdir, (str(self._path),)


def make(root: Path) -> dict[str, Path]:
  """Makes all of them below a folder and returns their paths, by name."""
  places = {
    'text': _file(root / 'text', np.random.default_rng(0).bytes(2000)),
    'none': root / 'none',
    'new': root / 'new',
    'folder': root / 'folder',
  }
  places['folder'].mkdir()
  (root / 'cwd').mkdir()
  return (
    places
    | _texts(root)
    | _gin_files(root)
    | _images(root)
    | _runs(root, places['text'])
    | _occupied(root)
  )


def _file(path, content=b''):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(content)
  return path


def _texts(root):
  other = root / 'other.zip'
  with zipfile.ZipFile(other, 'w') as archive:
    archive.writestr('enwik8', b'not the real one')
  with zipfile.ZipFile(root / 'two.zip', 'w') as archive:
    archive.writestr('a', b'a')
    archive.writestr('b', b'b')
  _file(root / 'broken.gz', gzip.compress(bytes(2000))[:20])
  return {
    'empty': _file(root / 'empty'),
    'short': _file(root / 'short', b'abc'),
    'broken': root / 'broken',
    'seven': _file(root / 'seven', b"7z\xbc\xaf'\x1c\0\4"),
    'two': root / 'two',
    'other_zip': other,
    'truncated_zip': _file(root / 'enwik8.zip', other.read_bytes()[:30]),
  }


def _gin_files(root):
  binary = _file(root / 'binary.gin', bytes(range(256)))
  itself = root / 'itself.gin'
  return {
    'utf16': _file(root / 'utf16.gin', 'train.steps = 3'.encode('utf-16')),
    'wrong': _file(root / 'wrong.gin', b'train.modle = 1\n'),
    'imports': _file(root / 'imports.gin', b'import this_would_have_run\n'),
    'includes_binary': _file(root / 'a.gin', f'include "{binary}"'.encode()),
    'includes_itself': _file(itself, f'include "{itself}"'.encode()),
  }


def _images(root):
  def folder(name, sizes, mode='RGB'):
    (root / name).mkdir()
    for i, size in enumerate(sizes):
      Image.new(mode, size).save(root / name / f'{i:02}.png')
    return root / name

  undecodable = folder('undecodable', [(2, 4)] * 20)
  (undecodable / '07.png').write_bytes(b'PNG')
  return {
    'undecodable': undecodable,
    'sizes': folder('sizes', [(2, 4)] * 20 + [(3, 3)]),
    'grey': folder('grey', [(2, 4)] * 20, 'L'),
    'one': folder('one', [(2, 4)]),
    'pictures': folder('pictures', [(2, 4)] * 400),
  }


def _runs(root, text):
  """Trains a model of texts and one of images, and spoils checkpoints."""
  room = 'trax_hourglass.HourglassLM.max_inference_length = 40'
  run, image_run, damaged = root / 'run', root / 'image_run', root / 'damaged'
  train.main(arguments(text, run, 'train.steps = 1', room))
  train.main(
    arguments(
      text,
      image_run,
      'train.steps = 1',
      'train.inputs = @trax_hourglass.image_inputs',
      'trax_hourglass.image_inputs.images = @trax_hourglass.image_folder()',
      'trax_hourglass.image_inputs.batch_size = 2',
      f"trax_hourglass.image_folder.path = '{root}/pictures'",
      'trax_hourglass.evaluate.text = None',
    )
  )
  shutil.copytree(run, damaged)
  for path in damaged.glob('checkpoints/*/*.npy.gz'):
    path.write_bytes(path.read_bytes()[:-9])
  model = (run / 'model.pkl.gz').read_bytes()
  gadget = _Gadget(root / 'ran')
  spoilt = {
    'truncated': model[:99],
    'list': _pickled([1, 2]),
    'nothing_in_it': _pickled({'flat_weights': None}),
    'hostile': _pickled({'flat_weights': 2, 'flat_state': gadget}),
  }
  for name, content in spoilt.items():
    _file(root / name / 'model.pkl.gz', content)
    shutil.copy(run / 'config.gin', root / name)
  counters = root / 'counters' / 'data_counters0.pkl'
  return {
    'run': run,
    'image_run': image_run,
    'damaged': damaged,
    'model_file': _file(root / 'a_model.pkl.gz', model),
    'hostile_counters': _file(counters, pickle.dumps(gadget)).parent,
    **{name: root / name for name in spoilt},
  }


def _pickled(content):
  return gzip.compress(pickle.dumps(content))


def _occupied(root):
  """Makes folders that no run can write to."""
  (root / 'dangling').symlink_to(root / 'none' / 'at_all')
  (root / 'lock_folder' / '.lock').mkdir(parents=True)
  return {
    'dangling': root / 'dangling',
    'lock_folder': root / 'lock_folder',
    'occupied': _file(root / 'occupied' / 'train').parent,
  }
