"""Packages trax_hourglass with its gin files and samples."""

from pathlib import Path
import re

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def version():
  text = (HERE / 'trax_hourglass' / '__init__.py').read_text('utf-8')
  return re.search("^__version__ = '(.*)'$", text, re.MULTILINE)[1]


def description():
  """Returns the README without pictures and links into the repository."""
  text = (HERE / 'README.md').read_text('utf-8')
  text = re.sub(r'!\[[^\]]*\]\([^)]*\)\n*', '', text)
  return re.sub(r'\[([^\]]*)\]\((?!https?:)[^)]*\)', r'\1', text)


setup(
  name='trax-hourglass',
  version=version(),
  description='Hourglass: hierarchical Transformer language models in Trax',
  long_description=description(),
  long_description_content_type='text/markdown',
  keywords='transformer, language model, hourglass, trax, jax, gin',
  classifiers=[
    'Intended Audience :: Science/Research',
    'Operating System :: POSIX :: Linux',
    *(f'Programming Language :: Python :: 3.{n}' for n in (11, 12, 13)),
    'Topic :: Scientific/Engineering :: Artificial Intelligence',
  ],
  license='Apache-2.0',
  license_files=['LICENSE'],
  python_requires='>=3.11,<3.14',
  # The folder gin/ stands at the root, beside the code, and has no __init__.py:
  # with one, `import gin` would find it instead of gin-config.
  packages=[
    *find_packages(include=['trax_hourglass', 'trax_hourglass.*']),
    'trax_hourglass.gin',
  ],
  package_dir={'trax_hourglass.gin': 'gin'},
  package_data={
    'trax_hourglass.gin': ['*.gin', '*/*.gin'],
    'trax_hourglass.data': ['samples/*'],
    'trax_hourglass.pretrained_models': [
      '*/*.gin',
      '*/*.md',
      '*/*.safetensors',
    ],
  },
  install_requires=[
    'trax==1.4.1',
    # Each minor version of JAX drops names, and Trax no longer follows.
    'jax>=0.10,<0.13',
    'absl-py',
    # Part of Python itself from 3.14 on.
    'backports.zstd',
    # Locks that a forked child does not keep, on files that may be removed.
    'filelock>=4.3',
    # Reads texts, gin files and checkpoints from addresses such as gs://.
    'fsspec>=2024.2',
    'tabulate>=0.9',
    # Private names of 0.5 are used: see configuration/gin_internals.py.
    'gin-config>=0.5,<0.6',
    # TensorFlow Datasets imports it, but asks for it below Python 3.9 only.
    'importlib_resources',
    'matplotlib>=3.8',
    'numpy>=2',
    'optax>=0.2.8',
    'pillow',
    'safetensors>=0.8',
    # Trax imports it but asks for it in an extra only.
    'tensorflow>=2.21',
    'tensorflow-datasets>=4.9',
    'tqdm>=4.66',
    'wrapt',
  ],
  entry_points={
    'console_scripts': ['trax-hourglass = trax_hourglass.__main__:main'],
  },
  extras_require={
    'cuda': ['jax[cuda]'],
    'tpu': ['jax[tpu]'],
    'docs': [
      # Formulas without a script; see docs/hooks.py.
      'latex2mathml',
      # The second version drops plugins.
      'mkdocs<2',
      'mkdocs-material',
      'mkdocstrings[python]',
      'ruff',  # Wraps signatures.
    ],
    # To measure beside it: trax_hourglass.benchmark.
    'torch': ['hourglass-transformer-pytorch>=0.0.6', 'torch>=2.3'],
    'test': [
      'hypothesis',
      # tests/test_colabs.py runs the notebooks.
      'ipykernel',
      'nbclient',
      'pytest',
      'ruff',
      'setuptools>=77',
      # tests/training/test_summaries.py checks what it shows.
      'tensorboard',
      'wheel',
    ],
  },
)
