"""The setting that all tests run in; commands started by a test inherit it."""

from importlib import metadata
import os
from pathlib import Path

# Compiled programs are kept between runs, and compiled fast, not to be fast.
_XLA_FLAGS = [
  '--xla_backend_optimization_level=0',
  '--xla_llvm_disable_expensive_passes=true',
]
if metadata.version('jax').startswith('0.10.'):  # Later ones don't know it.
  _XLA_FLAGS.append('--xla_cpu_use_fusion_emitters=false')
if metadata.version('jaxlib').startswith(('0.10.2', '0.12.0')):
  # XLA's default, which trax_hourglass takes away: these compile sooner.
  _XLA_FLAGS.append(
    '--xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,'
    'LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION,LIBRARY_FUSION_TYPE_REDUCE'
  )
os.environ.update(
  XLA_FLAGS=' '.join([*_XLA_FLAGS, os.environ.get('XLA_FLAGS', '')]),
  JAX_PLATFORMS='cpu',
  JAX_COMPILATION_CACHE_DIR=str(Path(__file__).parents[1] / '.cache' / 'jax'),
  JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS='0.3',
)

import trax_hourglass  # noqa: E402, F401 (before anything of Trax)
