"""The setting that all tests run in; commands started by a test inherit it."""

import os
from pathlib import Path

# Compiled programs are kept between runs, and compiled fast, not to be fast.
os.environ.update(
  XLA_FLAGS=(
    '--xla_backend_optimization_level=0 '
    '--xla_llvm_disable_expensive_passes=true '
    + os.environ.get('XLA_FLAGS', '')
  ),
  JAX_PLATFORMS='cpu',
  JAX_COMPILATION_CACHE_DIR=str(Path(__file__).parents[1] / '.cache' / 'jax'),
  JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS='0',
)

import trax_hourglass  # noqa: F401 (before anything of Trax)
