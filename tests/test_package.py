"""The built wheel, and an installation of it."""

import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

import trax_hourglass

ROOT = Path(__file__).parents[1]


def pip(*arguments):
  options = ['--no-deps', '--no-index', '--quiet']
  subprocess.run(
    [sys.executable, '-m', 'pip', *arguments, *options], check=True
  )


def run(folder, *arguments, site=''):
  """Runs Python in a folder, `site` in its path; returns its output."""
  result = subprocess.run(
    [sys.executable, *arguments],
    cwd=folder,
    env={**os.environ, 'PYTHONPATH': str(site)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert result.returncode == 0, result.stderr
  return result.stdout


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
  """The path of the wheel, built from a copy that stays without a trace."""
  clone = tmp_path_factory.mktemp('clone')
  for name in ('LICENSE', 'README.md', 'pyproject.toml', 'setup.py'):
    shutil.copy(ROOT / name, clone)
  for name in ('gin', 'tests', 'trax_hourglass'):
    shutil.copytree(
      ROOT / name,
      clone / name,
      ignore=shutil.ignore_patterns('__pycache__', 'reference'),
    )
  pip('wheel', clone, '--no-build-isolation', '--wheel-dir', clone)
  [path] = clone.glob('*.whl')
  return path


def test_wheel_holds_the_package_and_nothing_else(wheel):
  package = {
    f'trax_hourglass/{path.relative_to(ROOT / "trax_hourglass")}'
    for path in (ROOT / 'trax_hourglass').rglob('*')
    if path.suffix == '.py'
    or path.parent.name == 'samples'
    or path.suffix == '.safetensors'
    or (path.parent / 'model.safetensors').exists()
  }
  configs = {
    f'trax_hourglass/{path.relative_to(ROOT)}'
    for path in ROOT.glob('gin/**/*.gin')
  }
  assert configs
  with zipfile.ZipFile(wheel) as archive:
    names = {name for name in archive.namelist() if '.dist-info/' not in name}
  assert names == package | configs


def test_metadata(wheel):
  """The index page shows no picture or link that only a clone resolves."""
  with zipfile.ZipFile(wheel) as archive:
    [name] = [n for n in archive.namelist() if n.endswith('/METADATA')]
    metadata = archive.read(name).decode()
  assert f'\nVersion: {trax_hourglass.__version__}\n' in metadata
  assert 'https://arxiv.org/abs/2110.13711' in metadata
  assert not re.search(r'\]\((?!https?:)', metadata)


def test_versions_agree():
  version = trax_hourglass.__version__
  assert f'\nversion: {version}\n' in (ROOT / 'CITATION.cff').read_text()
  assert f'\n## [{version}]' in (ROOT / 'CHANGELOG.md').read_text()


def test_gin_folder_does_not_hide_the_package_gin():
  assert not (ROOT / 'gin' / '__init__.py').exists()


@pytest.mark.slow
def test_installed_package_stands_alone(wheel, tmp_path):
  """Installed in a folder, outside the clone."""
  pip('install', wheel, '--target', tmp_path / 'site')
  code = """
from pathlib import Path
import sys

sys.path.insert(0, sys.argv[1])
import gin
import trax_hourglass
from trax_hourglass.configuration import command_line, reading
from trax_hourglass.data import images, text

home = Path(trax_hourglass.__file__).parent
assert home.parent == Path(sys.argv[1]), home
assert hasattr(gin, 'configurable')
command_line.start(['train', '--config_file=table4/2x1_8x3_2x1.gin'])
reading.configure(**command_line.configuration())
assert gin.query_parameter('%SEED') == 0  # From a file that others include.
assert len(text.wikipedia_sample().test) == 250_000
assert len(images.photos32().split('train')) == 579
trax_hourglass.pretrained('wikipedia_sample')
"""
  run(tmp_path, '-c', code, tmp_path / 'site')


@pytest.mark.slow
def test_installed_command_trains(wheel, tmp_path):
  site = tmp_path / 'site'
  pip('install', wheel, '--target', site)
  small = ('train.steps = 1', 'LENGTH = 16', 'EVAL_BATCHES = 1')
  small += ('trax_hourglass.evaluate.n_bytes = 99',)
  model = {'d_model': 8, 'd_ff': 8, 'hierarchy': "'1@1'"}
  config = [f'trax_hourglass.HourglassLM.{k} = {v}' for k, v in model.items()]
  command = [site / 'bin' / 'trax-hourglass']
  version = run(tmp_path, *command, '--version', site=site)
  assert version == f'trax_hourglass {trax_hourglass.__version__}\n'
  command += ['train', '--config_file=quickstart.gin', '--output_dir=run']
  command += [f'--config={binding}' for binding in (*small, *config)]
  assert 'bits per byte over 99 bytes' in run(tmp_path, *command, site=site)
  assert (tmp_path / 'run' / 'model.pkl.gz').exists()
