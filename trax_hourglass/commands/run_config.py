"""The `config.gin` of a run, which is all it takes to repeat the run."""

import copy
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import re
import sys

import gin
import jax

from trax_hourglass import pretrained_models
from trax_hourglass.configuration import directories, operative, values
from trax_hourglass.distribution import hosts
from trax_hourglass.errors import UserError, warn
from trax_hourglass.training.checkpoints import configs, find, folders

_PACKAGES = ('trax', 'jax', 'jaxlib', 'numpy', 'tensorflow', 'gin-config')


def seed(output_dir: str) -> int:
  """Returns `train.random_seed`; binds it if it is not bound.

  To the seed of the run that resumes in the output directory, or to a new one.
  """
  bound = copy.deepcopy(values.bound('train.random_seed'))
  if bound is None:
    bound = _earlier_seed(output_dir)
    if bound is None:
      bound = hosts.common_seed()
    with gin.unlock_config():
      gin.bind_parameter('train.random_seed', bound)
  return bound


def _earlier_seed(output_dir):
  path = configs.newest(output_dir)
  if path is None:
    return None
  text = pathlib.Path(path).read_text('utf-8')
  # Trax writes no header.
  for line in (r'# seed: (\d+)', r'train\.random_seed = (\d+)'):
    if match := re.search(f'^{line}$', text, re.MULTILINE):
      return int(match[1])
  return None


def check_first_weights(output_dir: str, step: int) -> None:
  """Compares `train.init_checkpoint` with that of a run which resumes.

  If it is another one, a warning says that it has no effect. Its newest
  checkpoint may have changed since the run started, so that is no mistake.

  Args:
    output_dir: The output directory.
    step: The step at which the run starts or resumes.

  Raises:
    UserError: If the run started from random weights.
  """
  given = copy.deepcopy(values.bound('train.init_checkpoint'))
  path = configs.in_force(output_dir, 0)
  if not step or given is None or path is None:
    return
  line = re.search(
    r'^train\.init_checkpoint = (?:\\\n *)?(.*)$',
    pathlib.Path(path).read_text('utf-8'),
    re.MULTILINE,
  )
  first = line[1] if line else 'None'
  message = (
    f'--output_dir: the run in {output_dir} goes on from step {step:,}, and '
    f'the weights of {given} have no effect; give another directory to start '
    'from them'
  )
  if first == 'None':
    raise UserError(f'{message}, or leave them out')
  if first not in (repr(given), str(values.bound('train.init_checkpoint'))):
    warn(f'{message}, as this run did from {first}')


def text(command: str, random_seed: int) -> str:
  """Returns a gin file that repeats the run, with a header.

  Args:
    command: What the run was started with.
    random_seed: The run's seed.
  """
  # Not the metadata of an editable installation, which may be of an older one.
  versions = {'trax-hourglass': sys.modules['trax_hourglass'].__version__}
  versions |= {name: _version(name) for name in _PACKAGES}
  versions = ', '.join(' '.join(pair) for pair in versions.items())
  header = (
    f'command: {command}',
    f'directory: {_directory()}',
    f'seed: {random_seed}',
    f'versions: python {platform.python_version()}, {versions}',
    f'devices: {jax.device_count()} {jax.devices()[0].device_kind}',
    *_first_weights(),
  )
  lines = ['# ' + ' '.join(line.split()) for line in header]
  return '\n'.join([*lines, '', operative.operative_bindings()])


def save(output_dir: str, step: int, configuration: str) -> None:
  """Writes a run's configuration to its output directory.

  A run that resumes with the configuration in force there writes nothing; one
  that resumes with another writes a new file beside the earlier ones.

  Args:
    output_dir: The output directory.
    step: The step at which the run starts or resumes.
    configuration: As `text` returns it.
  """
  path = os.path.join(output_dir, folders.CONFIG)
  earlier = step and configs.in_force(output_dir, step)
  if earlier:
    saved = pathlib.Path(earlier).read_text('utf-8')
    if _bindings(saved) == _bindings(configuration):
      return
    path = os.path.join(output_dir, f'config_{step}.gin')
  with directories.expendable(path) as part:
    pathlib.Path(part).write_text(configuration, 'utf-8')


def _bindings(configuration):
  return configuration.partition('\n\n')[2]


def _first_weights():
  """Yields the line that tells an exported model from a later one there."""
  path = values.value('train.init_checkpoint', '')
  local = find.find_checkpoint(path) if path else ''
  if local.endswith(pretrained_models.SUFFIX):
    digest = hashlib.sha256(pathlib.Path(local).read_bytes()).hexdigest()
    yield f'first weights: {path}, SHA-256 {digest}'


def _directory():
  try:
    return os.getcwd()
  except OSError:  # It has been deleted.
    return '(gone)'


def _version(package):
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return '(source tree)'
