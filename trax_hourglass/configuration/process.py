"""The process of a command, set up before it uses JAX."""

from collections.abc import Sequence
import contextlib
import os

from absl import logging
import gin
import jax
from trax import fastmath

from trax_hourglass import runtime
from trax_hourglass.distribution import hosts as hosts_lib

# It registers configurables, and may come when the configuration is locked.
with gin.unlock_config():
  _trainer = runtime.import_trainer()


def set_up(
  *,
  log_level: int | None,
  disable_jit: bool,
  hosts: Sequence | None,
) -> None:
  """Sets up logging, devices, hosts and the cache of compiled programs.

  Args:
    log_level: Shows Trax's log from that level on; `None` hides it, which would
      mix with the progress bar.
    disable_jit: Whether JAX runs operation by operation.
    hosts: Arguments of `hosts.join`; `None` for a command of one host.
  """
  if hosts is not None:
    hosts_lib.join(*hosts)
  if log_level is not None:
    logging.use_absl_handler()
    logging.set_verbosity(log_level)
  runtime.leave_gpu_to_jax()
  runtime.when_tensorflow_loads(_set_up_tensorflow)
  _keep_compiled_programs()
  if disable_jit:
    fastmath.disable_jit()


def _set_up_tensorflow(_):
  """Sets TensorFlow up by the flags --tf_*, as `trax.trainer` does."""
  _trainer._tf_setup_from_flags()


def _keep_compiled_programs():
  """Lets the next process load what XLA compiled in this one.

  Small programs too: to initialise a model takes dozens of them.
  """
  directory = os.path.expanduser('~/.cache/trax_hourglass/jax')
  if jax.config.jax_compilation_cache_dir is None:
    with contextlib.suppress(OSError):  # An unwritable home: compile again.
      os.makedirs(directory, exist_ok=True)
      jax.config.update('jax_compilation_cache_dir', directory)
      jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
